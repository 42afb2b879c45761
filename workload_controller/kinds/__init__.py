"""One module per kind of job: how its copy is made and how its status comes back."""
