//! What the scenario tests share: a running server, its data directory, and signed calls to it.
