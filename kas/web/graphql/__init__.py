"""GitLab's GraphQL names for registering agents, so that scripts written for GitLab work here.

``schema`` and ``types`` say what there is, ``ids`` and ``pages`` are its pure parts, ``limits`` what a query may cost;
``endpoint`` is the HTTP side, ``explorer`` the page in the browser. Changes are made by ``kas.web.registration``.
"""
