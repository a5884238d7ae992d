//! Tensor operations the Wan networks are built from, each with a plain-tensor reference.
