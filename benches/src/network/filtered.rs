//! A checkpoint of which only the first blocks are wanted.

use std::{path::Path, sync::Arc};

use wan_import::{Packed, TensorBytes, TensorInfo, TensorSource};

/// A source whose blocks from some index on are not there.
#[derive(Debug)]
pub struct WithoutBlocks {
    source: Arc<dyn TensorSource>,
    blocks: usize,
}

impl WithoutBlocks {
    /// `source` with its blocks before `blocks` only.
    pub fn from(source: Arc<dyn TensorSource>, blocks: usize) -> Self {
        Self { source, blocks }
    }

    fn has(&self, name: &str) -> bool {
        block_of(name).is_none_or(|index| index < self.blocks)
    }
}

/// The index after `blocks.`, which all layouts have in common.
fn block_of(name: &str) -> Option<usize> {
    let mut parts = name.split('.').skip_while(|part| *part != "blocks").skip(1);
    parts.next()?.parse().ok()
}

impl TensorSource for WithoutBlocks {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn names(&self) -> Vec<&str> {
        self.source.names().into_iter().filter(|name| self.has(name)).collect()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.source.info(name).filter(|_| self.has(name))
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        self.source.data(name).filter(|_| self.has(name))
    }

    fn packed(&self, name: &str) -> Option<&Packed> {
        self.source.packed(name).filter(|_| self.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::block_of;

    #[test]
    fn blocks_are_told_from_other_tensors() {
        assert_eq!(block_of("model.diffusion_model.blocks.12.ffn.0.weight"), Some(12));
        assert_eq!(block_of("head.head.weight"), None);
        assert_eq!(block_of("blocks.x.weight"), None);
    }
}
