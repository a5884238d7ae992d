//! The diffusion transformer.

mod attention;
mod block;
mod embed;
mod ffn;
mod head;
mod transformer;

pub use attention::Attention;
pub use block::WanBlock;
pub use embed::{PatchEmbed, TextEmbed, TimeEmbed};
pub use ffn::FeedForward;
pub use head::Head;
pub use transformer::WanTransformer;
