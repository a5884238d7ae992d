//! Checkpoints on disk to modules: readers, key tables, fingerprints.
