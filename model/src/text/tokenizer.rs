//! Prompts to token ids, by the rules in a checkpoint's `tokenizer.json`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::clean;
use crate::ModelError;

/// The most bytes of a prompt: several times what fills 512 tokens, and little enough that cleaning takes no time
/// whatever the text.
pub const MAX_PROMPT_BYTES: usize = 16 * 1024;

const END: &str = "</s>";

/// The text encoder's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    end: u32,
}

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`. Its padding and truncation settings are not used.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] for contents that are no tokenizer, [`ModelError::MissingToken`] without `</s>`.
    pub fn from_json(json: &[u8]) -> Result<Self, ModelError> {
        let read = || {
            let mut tokenizer = tokenizers::Tokenizer::from_bytes(json)?;
            tokenizer.with_truncation(None)?.with_padding(None);
            Ok(tokenizer)
        };
        let tokenizer = guarded(read).map_err(|reason| ModelError::Tokenizer { reason })?;
        let end = tokenizer.token_to_id(END).ok_or(ModelError::MissingToken { token: END })?;
        Ok(Self { tokenizer, end })
    }

    /// Cleans `prompt` and gives at most `max_len` ids, of which the last is `</s>`; no padding. An empty prompt is
    /// `</s>` alone, as is any with `max_len` 0 or 1.
    ///
    /// # Errors
    /// [`ModelError::PromptTooLong`] past [`MAX_PROMPT_BYTES`]; [`ModelError::Tokenize`] if the tokenizer has no
    /// token for a part of the prompt.
    pub fn encode(&self, prompt: &str, max_len: usize) -> Result<Vec<u32>, ModelError> {
        if prompt.len() > MAX_PROMPT_BYTES {
            return Err(ModelError::PromptTooLong { bytes: prompt.len(), limit: MAX_PROMPT_BYTES });
        }
        // Special tokens are added here, once, whether or not the file has a template that adds them.
        let encoding = guarded(|| self.tokenizer.encode_fast(clean(prompt), false))
            .map_err(|reason| ModelError::Tokenize { reason })?;
        let text = encoding.get_ids();
        let text = &text[..text.len().min(max_len.saturating_sub(1))];
        Ok(text.iter().copied().chain([self.end]).collect())
    }
}

/// The result of `call`. The crate panics on some damaged files where it should give an error; here it gives one.
fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("its contents contradict each other".into()),
    }
}
