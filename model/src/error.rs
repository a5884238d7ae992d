//! What can be wrong with the input of a network.

use thiserror::Error;

/// An input a network cannot take.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The tokenizer file is damaged or of an unknown kind.
    #[error("tokenizer.json cannot be used: {reason}")]
    Tokenizer { reason: String },
    /// The tokenizer file lacks a token the text encoder relies on.
    #[error("tokenizer.json has no token {token}")]
    MissingToken { token: &'static str },
    /// Far more text than the text encoder reads.
    #[error("the prompt has {bytes} bytes, more than the {limit} allowed")]
    PromptTooLong { bytes: usize, limit: usize },
    /// The tokenizer gave up on a prompt.
    #[error("the prompt cannot be tokenized: {reason}")]
    Tokenize { reason: String },
}
