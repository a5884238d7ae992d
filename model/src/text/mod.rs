//! From a prompt to the context rows of the diffusion transformer.

mod clean;
mod negative;
mod position;
mod tokenizer;
mod umt5;

pub use clean::clean;
pub use negative::{NEGATIVE_PROMPT, negative_prompt};
pub use position::{PositionBuckets, position_bucket};
pub use tokenizer::{MAX_PROMPT_BYTES, Tokenizer};
pub use umt5::{Umt5Block, Umt5Config, Umt5Encoder, Umt5Norm};
