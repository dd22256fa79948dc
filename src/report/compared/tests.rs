use super::*;

#[test]
fn a_script_is_one_statement_in_one_line_whatever_the_names() {
    let hostile = "a\"];alert(1)//\u{2028}</script>\n";
    let script = String::from_utf8(registered("run", hostile, &[hostile])).unwrap();
    assert_eq!(script.lines().count(), 1, "{script}");
    let (key, value) = script
        .strip_prefix("(window.overnightData ||= {})[")
        .and_then(|rest| rest.strip_suffix(";\n"))
        .and_then(|rest| rest.split_once("] = "))
        .unwrap();
    assert_eq!(serde_json::from_str::<String>(key).unwrap(), format!("run:{hostile}"));
    assert_eq!(serde_json::from_str::<Vec<String>>(value).unwrap(), [hostile]);
}
