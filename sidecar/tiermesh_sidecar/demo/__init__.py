"""`tiermesh demo`: everything around one real sidecar that a newcomer needs to see it route.

The only fakes of the project, the model providers, live here. Nothing outside the demo, the tests
and the benchmarks may import this package.
"""
