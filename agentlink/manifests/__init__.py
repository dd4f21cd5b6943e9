"""Reading manifests as kubectl does, for both programs: kas from Git, ``agentk apply`` from files. Pure."""
