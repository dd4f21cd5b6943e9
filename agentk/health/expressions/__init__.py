"""Health by a project's own CEL expressions, evaluated in a process of their own, which a bad one may cost its life."""
