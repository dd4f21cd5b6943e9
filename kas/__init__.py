"""The server beside GitLab: it watches Git and streams each cluster the objects it should have."""
