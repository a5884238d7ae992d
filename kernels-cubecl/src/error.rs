//! What keeps an operation from running as asked.

/// Why a kernel does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// The device lacks something the kernel needs; the reference takes its place.
    #[error("{operation}: {cause}")]
    Unavailable { operation: &'static str, cause: String },

    /// No form of the kernel takes such arguments, whatever the device; the reference takes its place.
    #[error("{operation}: {cause}")]
    Unsupported { operation: &'static str, cause: String },

    /// The shapes or dtypes of the arguments do not fit together; no road can carry them.
    #[error("{operation}: {detail}")]
    InvalidShape { operation: &'static str, detail: String },

    /// The kernel needs more of something than the device has; the reference takes its place.
    #[error("{operation}: {needed} {what} are needed, the device has {limit}")]
    LimitExceeded { operation: &'static str, what: &'static str, needed: u64, limit: u64 },
}

impl KernelError {
    /// The message without the operation's name.
    pub fn reason(&self) -> String {
        let text = self.to_string();
        text.split_once(": ").map_or(text.clone(), |(_, reason)| reason.to_owned())
    }

    pub(crate) fn shape(operation: &'static str, detail: impl Into<String>) -> Self {
        Self::InvalidShape { operation, detail: detail.into() }
    }
}
