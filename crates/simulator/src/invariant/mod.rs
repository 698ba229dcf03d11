//! What must hold at every step, each a function with a name and one sentence. `entry` is about what was decided, `answer`
//! about what was said of it, `world` about what really runs, `calm` about the end. None of them asks the core.

pub(crate) mod answer;
pub(crate) mod calm;
pub(crate) mod deadline;
pub(crate) mod entry;
pub(crate) mod world;

/// A rule that does not hold: the name of its function, and what was seen.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

/// Runs each check of a list by its name, and answers the first that does not hold.
macro_rules! check_all {
    ($seen:expr; $($check:ident),+ $(,)?) => {{
        $(if let Err(detail) = $check($seen) {
            return Err($crate::invariant::Broken { invariant: stringify!($check), detail });
        })+
        Ok(())
    }};
}
pub(crate) use check_all;
