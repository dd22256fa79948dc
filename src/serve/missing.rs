//! The page for an address that has none: says which, and what to do about it.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

/// `built`: there is a report at all. `problem`: why the last build of it failed.
pub(super) fn missing_page(path: &str, built: bool, problem: Option<&str>) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(include_str!("missing.html"), context! { path, built, problem })
        .unwrap_or_else(|_| "This page does not exist.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_a_wrong_address_from_a_report_not_built_yet_and_from_a_failed_build() {
        let wrong = missing_page("x", true, None);
        assert!(wrong.contains("No page at <code>x</code>"), "{wrong}");
        let early = missing_page("/", false, None);
        assert!(early.contains("no report yet"), "{early}");
        let failed = missing_page("/", false, Some("a <b> template"));
        assert!(failed.contains("a &lt;b&gt; template"), "{failed}");
        assert!(!failed.contains("no report yet"), "{failed}");
    }
}
