//! The unit of `init --systemd`, as systemd itself reads it.

use std::fs;
use std::process::{Command, Output};

use crate::workspace::Workspace;

const FOLDER: &str = "my 50%h \"night\" $HOME";

fn units(workspace: &Workspace) -> Vec<String> {
    let Ok(folder) = fs::read_dir(workspace.path("config/systemd/user")) else { return Vec::new() };
    let mut names: Vec<String> =
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What systemd says of a unit; none where it is not installed.
fn verify(workspace: &Workspace, unit: &str) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--user", "--man=no", unit]).env("XDG_RUNTIME_DIR", workspace.path("config"));
    command
        .output()
        .inspect_err(|error| println!("skipped: no systemd-analyze: {error} (apt-get install systemd)"))
        .ok()
}

fn workspace() -> Workspace {
    let workspace = Workspace::new().file(&format!("{FOLDER}/experiments/.keep"), "");
    let config = workspace.path("config");
    workspace.variable("XDG_CONFIG_HOME", config.to_str().unwrap()).variable("LIBTORCH", "/opt/50% torch")
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let workspace = workspace();
    // The program too lies where its path needs care.
    let program = workspace.path("50%h of my $HOME/overnight");
    fs::create_dir(program.parent().unwrap()).unwrap();
    let usual = workspace.command(&["init", "--systemd", FOLDER]);
    // Not by us: a process that another test starts this moment would hold it open for writing, and nobody
    // could start it.
    let copied = Command::new("cp").arg(usual.get_program()).arg(&program).status().unwrap();
    assert!(copied.success());
    let variables = usual.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new(&program).args(usual.get_args()).envs(variables).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for words in ["enable --now overnight-my-50-h--night---HOME.service", "loginctl enable-linger"] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    let path = stdout.trim();
    assert!(path.ends_with("config/systemd/user/overnight-my-50-h--night---HOME.service"), "{path}");
    assert!(!workspace.path("experiments/shapes.toml").exists(), "the unit alone");

    let Some(good) = verify(&workspace, path) else { return };
    let said = String::from_utf8_lossy(&good.stderr);
    assert!(good.status.success() && said.trim().is_empty(), "{}\n{said}", good.status);
    // It does find what is wrong: the same unit, its program with a percent sign that means something else.
    let wrong = path.replace("overnight-", "wrong-");
    fs::write(&wrong, fs::read_to_string(path).unwrap().replace("50%%h of", "50%h of")).unwrap();
    let bad = verify(&workspace, &wrong).unwrap();
    assert!(!bad.stderr.is_empty(), "systemd takes everything, so this test shows nothing");
}

#[test]
fn a_unit_that_was_changed_is_not_written_over() {
    let workspace = workspace();
    workspace.spawn(&["init", "--systemd", FOLDER]).wait().code(0);
    workspace.spawn(&["init", "--systemd", FOLDER]).wait().code(0).says("is there already");
    let unit = workspace.path("config/systemd/user").join(&units(&workspace)[0]);
    let changed = fs::read_to_string(&unit).unwrap() + "# mine\n";
    fs::write(&unit, &changed).unwrap();
    workspace.spawn(&["init", "--systemd", FOLDER]).wait().code(1).says("it stays as it is");
    assert_eq!(fs::read_to_string(&unit).unwrap(), changed);
}

#[test]
fn two_workspaces_of_one_name_have_units_of_their_own() {
    let workspace = workspace().file("other/exp/experiments/.keep", "").file("exp/experiments/.keep", "");
    for folder in ["exp", "other/exp", "exp", "other/exp"] {
        workspace.spawn(&["init", "--systemd", folder]).wait().code(0);
    }
    let units = units(&workspace);
    assert_eq!(units.len(), 2, "{units:?}");
    assert!(units.contains(&"overnight-exp.service".to_owned()), "{units:?}");
    workspace
        .spawn(&["init", "--systemd", "nowhere"])
        .wait()
        .code(1)
        .says("overnight init makes a workspace");
}
