//! The list of steps.

use anyhow::Result;
use futures_util::future::LocalBoxFuture;

use crate::browser::View;
use crate::looks::{self, Look};
use crate::stage::Stage;
use crate::{changes, compared, fetched, hooks, questions, sessions};

/// A step with its name.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) what: What,
}

/// The action of a step.
pub(crate) enum What {
    /// Somebody looks at a page.
    Look(&'static Look, View, bool),
    /// Somebody does something, with scripts or without.
    Act(Act, View),
}

/// Something that a person does. Returns what was seen.
pub(crate) type Act = for<'s> fn(&'s mut Stage) -> LocalBoxFuture<'s, Result<String>>;

/// Builds an entry of a list of acts from its name and the function that does it.
macro_rules! act {
    ($name:literal, $run:path) => {
        ($name, |stage| Box::pin($run(stage)))
    };
}

pub(crate) use act;

impl What {
    pub(crate) async fn run(&self, stage: &mut Stage) -> Result<String> {
        match self {
            Self::Look(look, view, keeps) => looks::look_at(stage, look, *view, *keeps).await,
            Self::Act(act, view) => {
                stage.browser.view(*view).await?;
                stage.be_owner().await?;
                stage.browser.forget_console().await?;
                act(stage).await
            }
        }
    }
}

/// Returns all steps in their order: pages are looked at before something changes. With `screens`, pictures are kept.
pub(crate) fn all(screens: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for look in looks::ALL {
        for view in View::all() {
            let name = format!("{}: {}", look.name, view.name());
            steps.push(Step { name, what: What::Look(look, view, screens) });
        }
    }
    let acts =
        [questions::ALL, changes::ALL, fetched::ALL, hooks::ALL, sessions::ALL, compared::ALL].into_iter().flatten();
    for (name, act) in acts {
        for view in View::acts() {
            let is_usual = view == View::usual(view.scripts);
            let how = match (is_usual, view.scripts) {
                (true, true) => "JavaScript".to_owned(),
                (true, false) => "no JavaScript".to_owned(),
                (false, _) => view.name(),
            };
            steps.push(Step { name: format!("{name}: {how}"), what: What::Act(*act, view) });
        }
    }
    for (name, act) in changes::WITH_SCRIPTS {
        steps.push(Step { name: format!("{name}: JavaScript"), what: What::Act(*act, View::usual(true)) });
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_step_has_a_name_of_its_own() {
        let steps = all(false);
        let names: BTreeSet<_> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names.len(), steps.len());
    }
}
