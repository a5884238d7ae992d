//! The pages of a mapped file that one block of a transformer reads.

use burn::tensor::Device;
use wan_model::{WanConfig, WanTransformer};

use crate::{Component, DtypePolicy, ImportError, TensorBytes, load::Planner};

/// The mapped weights of each block of a transformer, for one that is computed straight out of its file.
#[derive(Debug)]
pub struct BlockPages(Vec<Vec<TensorBytes>>);

impl Component {
    /// Those of the transformer, which is one of `config`.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn block_pages(&self, config: &WanConfig) -> Result<BlockPages, ImportError> {
        let (source, keys) = (&*self.source, self.dit_keys());
        let module = WanTransformer::new(config, &Device::flex());
        let plan = Planner::checked(&module, "", source, &keys, &DtypePolicy::F32)?;
        let block = |index: usize| {
            let at = format!("blocks.{index}.");
            let wanted = plan.wanted.iter().filter(|(path, _)| path.starts_with(&at));
            wanted.filter_map(|(_, wanted)| source.data(&wanted.key)).filter(TensorBytes::is_mapped).collect()
        };
        Ok(BlockPages((0..config.layers).map(block).collect()))
    }
}

impl BlockPages {
    /// Says that block `index` is not needed soon; counted on past the last one, as passes follow each other.
    pub fn release(&self, index: usize) {
        self.block(index).iter().for_each(TensorBytes::release);
    }

    /// Asks the system to bring block `index` into memory; counted on past the last one. The call may wait while more is
    /// asked for than the disk takes at once.
    pub fn read_ahead(&self, index: usize) {
        self.block(index).iter().for_each(TensorBytes::read_ahead);
    }

    /// Blocks.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn block(&self, index: usize) -> &[TensorBytes] {
        index.checked_rem(self.0.len()).map_or(&[], |index| &self.0[index])
    }
}
