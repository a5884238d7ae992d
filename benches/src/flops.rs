//! Floating-point operations of one forward pass, by the closed formula: two for each multiply-add of the blocks'
//! projections, attentions, feed-forward and camera layers. Embeddings and head are below 1 % and left out; what is
//! computed once in a run is no part of a pass.

use wan_model::WanConfig;

/// Of one block, by part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockFlops {
    /// Queries, keys, values and output among the video's tokens.
    pub self_projections: f64,
    pub self_attention: f64,
    /// Queries and output.
    pub cross_projections: f64,
    /// Keys and values of the text, and of the pictures where there are any, once in a run.
    pub cross_rows: f64,
    pub cross_attention: f64,
    pub ffn: f64,
    /// Scale and shift of the camera; 0 where there is none.
    pub camera: f64,
}

impl BlockFlops {
    /// At `tokens` video tokens and `image_rows` rows of pictures.
    pub fn new(config: &WanConfig, tokens: usize, image_rows: usize) -> Self {
        let [l, d, f] = [tokens, config.dim, config.ffn_dim].map(|n| n as f64);
        let rows = (config.text_len + image_rows) as f64;
        let camera = config.control_width().map_or(0.0, |_| 8.0 * l * d * d);
        Self {
            self_projections: 8.0 * l * d * d,
            self_attention: 4.0 * l * l * d,
            cross_projections: 4.0 * l * d * d,
            cross_rows: 4.0 * rows * d * d,
            cross_attention: 4.0 * l * rows * d,
            ffn: 4.0 * l * d * f,
            camera,
        }
    }

    /// Of every pass through the block, the camera's layers apart.
    pub fn without_camera(&self) -> f64 {
        self.self_projections + self.self_attention + self.cross_projections + self.cross_attention + self.ffn
    }
}

/// Of a pass through `blocks` blocks, `with_camera` of which compute their camera's scale and shift.
pub fn forward_flops(
    config: &WanConfig,
    blocks: usize,
    with_camera: usize,
    tokens: usize,
    image_rows: usize,
) -> f64 {
    let block = BlockFlops::new(config, tokens, image_rows);
    blocks as f64 * block.without_camera() + with_camera as f64 * block.camera
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published figures.
    #[test]
    fn known_sizes_cost_what_is_known() {
        let tflop = |config: &WanConfig, tokens| {
            let once = config.layers as f64 * BlockFlops::new(config, tokens, 0).cross_rows;
            (forward_flops(config, config.layers, config.layers, tokens, 0) + once) / 1e12
        };
        // They count what is outside of the blocks, which is below 1 %.
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 5e-3, "{found} {expected}");
        near(tflop(&WanConfig::t2v_1_3b(), 32_760), 283.0);
        near(tflop(&WanConfig::t2v_1_3b(), 17_160), 99.0);
        near(tflop(&WanConfig::t2v_14b(), 32_760), 1_678.4);
        near(tflop(&WanConfig::lingbot_base_cam(), 17_160), 806.9);
        near(tflop(&WanConfig::lingbot_base_cam(), 4_290), 158.1);
        near(tflop(&WanConfig::ti2v_5b(), 27_280), 517.0);
    }
}
