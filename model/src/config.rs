//! Network dimensions.

/// tmp
#[derive(Clone, Debug)]
pub struct WanConfig {
    pub dim: usize,
    pub ffn_dim: usize,
    pub heads: usize,
    pub layers: usize,
    pub in_dim: usize,
    pub out_dim: usize,
    pub text_dim: usize,
    pub text_len: usize,
    pub freq_dim: usize,
    pub patch: [usize; 3],
    pub eps: f64,
}
impl WanConfig {
    pub fn t2v_1_3b() -> Self {
        Self {
            dim: 1536,
            ffn_dim: 8960,
            heads: 12,
            layers: 30,
            in_dim: 16,
            out_dim: 16,
            text_dim: 4096,
            text_len: 512,
            freq_dim: 256,
            patch: [1, 2, 2],
            eps: 1e-6,
        }
    }
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }
}
