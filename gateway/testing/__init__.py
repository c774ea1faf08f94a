"""For tests of plugins: contracts to subclass, and the parts that they are made of.

    from gateway.testing.transport import TransportContract

A contract is a class of tests. Nothing in them is timed, and nothing needs a plug-in of pytest.
"""
