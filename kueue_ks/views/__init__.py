"""Live views: ``kueue-ks clusters``, ``kueue-ks queue``, ``kueue-ks top``.

``reading`` brings the objects; ``clusters``, ``jobs``, ``queue`` and ``top`` fold them into reports
by the controllers' own functions; the ``…_text`` modules render them; ``command`` wires.
"""
