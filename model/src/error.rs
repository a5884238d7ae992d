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
    /// Image features for a transformer without that branch.
    #[error("this transformer takes no image features")]
    NoImageBranch,
    /// Image features of another encoder or of another number of pictures; rows and width.
    #[error("{} image tokens of width {}, but the transformer takes {} of {}", found[0], found[1], expected[0], expected[1])]
    ImageStates { found: [usize; 2], expected: [usize; 2] },
    /// A camera path for a transformer without that branch.
    #[error("this transformer takes no camera path")]
    NoCameraBranch,
    /// Control values of another kind: rays alone, or directions and keys.
    #[error("{found} control values per token, but the transformer takes {expected}")]
    ControlWidth { found: usize, expected: usize },
}
