//! The proof that a call is allowed. Each function that acts for a plugin demands one, so a forgotten check does not compile.

use parlor_base::permission::Permission;

use super::call_name::CallName;
use super::grants::Decision;

/// The proof that a call is allowed.
///
/// It is made in one place, [`granted`], from the rule of the call and a decision about the grants. It cannot be
/// copied, and is valid for one call: each later call is decided separately.
///
/// It cannot be made up:
///
/// ```compile_fail,E0451
/// # use parlor_session::permissions::{CallName, Granted};
/// let granted = Granted { call: Some(CallName::RoomsSend) };
/// ```
#[derive(Debug)]
pub struct Granted {
    call: Option<CallName>,
}

impl Granted {
    /// The host acts for itself, and for no plugin. No file of `api` may name this, which a test checks.
    pub const HOST: Self = Self { call: None };

    /// Returns the call that it is for; none if the host acts for itself.
    pub fn call(&self) -> Option<CallName> {
        self.call
    }
}

/// Returns the proof for a call that is free, or whose permission this decision grants. The error is the permission that it lacks.
pub fn granted(call: CallName, decide: impl FnOnce(Permission) -> Option<Decision>) -> Result<Granted, Permission> {
    match call.rule().permission {
        Some(permission) if !decide(permission).is_some_and(Decision::allows) => Err(permission),
        Some(_) | None => Ok(Granted { call: Some(call) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_free_or_granted_is_proved() {
        let of = |call, decision| granted(call, |_| decision).map(|granted| granted.call());
        assert_eq!(of(CallName::ApiEmit, None), Ok(Some(CallName::ApiEmit)), "it is free");
        assert_eq!(
            of(CallName::RoomsSend, Some(Decision::Covered(Permission::RoomsSend))),
            Ok(Some(CallName::RoomsSend))
        );
        for decision in [None, Some(Decision::NotGranted(Permission::RoomsSend))] {
            assert_eq!(of(CallName::RoomsSend, decision), Err(Permission::RoomsSend));
        }
    }
}
