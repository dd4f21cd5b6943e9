"""A real Kubernetes control plane without containers, for tests, benchmarks and the demo.

``binaries`` finds or builds the programs, ``server`` runs them, ``ready_pods`` adds a node on which pods become Ready,
``cluster`` chooses between one of ours and an existing cluster, ``fixtures`` serves pytest, ``python -m
tests.controlplane`` serves people.
"""
