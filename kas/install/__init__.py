"""What installs agentk in a cluster: from a few values to Kubernetes objects to YAML. Pure; no template anywhere.

``values`` says what may be chosen and refuses what cannot work, ``objects`` makes the objects (``roles`` the rights,
``workload`` the pod), ``yaml_text`` writes them. ``kas generate`` and the API's ``/install`` serve the result, and the
Helm chart in ``manifests/charts/agentk`` takes the same values (``schema`` writes its ``values.schema.json``).
"""
