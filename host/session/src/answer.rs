//! The answer of a command, on its way to the plugin that waits for it.

use std::fmt;

use parlor_stanza::error::CallError;
use tokio::sync::oneshot;

/// Checks whether an answer may be kept until its caller takes it.
type Fits<T> = Box<dyn FnOnce(&T) -> Result<(), CallError> + Send>;
/// Receives the number of bytes that a command sends in addition to its own.
type Charge = Box<dyn FnOnce(usize) + Send>;

/// The receiver of a command's answer. Dropping it answers `stopped`. The caller may be gone, which is fine.
pub struct Answer<T> {
    to: oneshot::Sender<Result<T, CallError>>,
    fits: Option<Fits<T>>,
    charge: Option<Charge>,
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("to", &self.to.is_closed()).finish_non_exhaustive()
    }
}

impl<T> Answer<T> {
    /// Returns an answer to be given, and the end where it arrives.
    pub fn channel() -> (Self, oneshot::Receiver<Result<T, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { to: sender, fits: None, charge: None }, receiver)
    }

    /// Returns the same answer, which is given only if it fits; otherwise the error is given that `fits` returns.
    #[must_use]
    pub fn if_it_fits(self, fits: impl FnOnce(&T) -> Result<(), CallError> + Send + 'static) -> Self {
        Self { fits: Some(Box::new(fits)), ..self }
    }

    /// Returns the same answer. `charge` receives the number of bytes that the command sends in addition to its own.
    #[must_use]
    pub fn charging(self, charge: impl FnOnce(usize) + Send + 'static) -> Self {
        Self { charge: Some(Box::new(charge)), ..self }
    }

    /// Reports the number of bytes that the command sends in addition to its own.
    pub(crate) fn charge(&mut self, bytes: usize) {
        if let Some(charge) = self.charge.take() {
            charge(bytes);
        }
    }

    /// Gives the answer.
    pub fn give(self, result: Result<T, CallError>) {
        let result = match (result, self.fits) {
            (Ok(value), Some(fits)) => fits(&value).map(|()| value),
            (result, _) => result,
        };
        // The caller may have ended meanwhile.
        let _ = self.to.send(result);
    }

    /// Returns whether the caller gave up waiting.
    pub fn is_abandoned(&self) -> bool {
        self.to.is_closed()
    }
}
