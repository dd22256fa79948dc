//! `overnight check` over files with many mistakes.

use crate::workspace::Workspace;

const BAD: &str = "\
tags = \"baseline\"
[data]
kind = \"shapes\"
cuont = 3
[model]
kind = \"mlp\"
dropout = 2
[train]
stesp = 3
batch_size = 0
log_every = \"often\"
[train.optimizer]
lr = -1
[evalute]
every = 3
[[alerts]]
when = \"val/lss > 5\"
[[alerts]]
when = \"val/perplexity > 5\"
do = \"wran\"
[sweep]
seeds = [1, 2]
[sweep.values]
\"model.hidden\" = []
\"model.depth\" = [1, 2]
";

#[test]
fn every_mistake_of_every_file_is_named_with_its_place_and_counted() {
    let workspace = Workspace::new()
        .experiment("good", 4, &[1], "")
        .file("experiments/bad.toml", BAD)
        .file("experiments/broken.toml", "[data\nkind = 3\n[train]\nstesp = 3\n")
        .file("experiments/notes.md", "no experiment")
        .file(
            "overnight.toml",
            "[runner]\nslosts = 3\nbreaker = -1\n[[hooks]]\non = [\"alrt\"]\n[[hooks]]\non = []\n",
        );
    let output = workspace.overnight(&["check", "experiments"]).code(78);
    assert_eq!(output.stdout, "experiments/good.toml: fine, 1 run\n");
    let places: Vec<&str> = output.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    insta::assert_snapshot!(places.join("\n"), @r#"
    overnight.toml:2:1: [runner] has no setting `slosts`
    overnight.toml:3:11: runner.breaker: invalid value: integer `-1`, expected u32
    overnight.toml:5:7: hooks[0].on[0] cannot be "alrt"
    overnight.toml:6:1: the hook does nothing
    overnight.toml:7:6: the hook waits for nothing
    experiments/bad.toml:1:8: tags: invalid type: string "baseline", expected a sequence
    experiments/bad.toml:4:1: [data] has no setting `cuont`
    experiments/bad.toml:7:11: model.dropout cannot be 2
    experiments/bad.toml:9:1: [train] has no setting `stesp`
    experiments/bad.toml:10:14: train.batch_size cannot be 0
    experiments/bad.toml:11:13: train.log_every: invalid type: string "often", expected u64
    experiments/bad.toml:13:6: train.optimizer.lr cannot be -1
    experiments/bad.toml:14:2: an experiment file has no setting `evalute`
    experiments/bad.toml:17:9: there is no metric `val/lss`
    experiments/bad.toml:19:9: runs of these settings give no `val/perplexity`
    experiments/bad.toml:20:6: alerts[1].do cannot be "wran"
    experiments/bad.toml:24:18: model.hidden has no values
    experiments/bad.toml:25:1: [model] has no setting `depth`
    experiments/broken.toml:1:6: unclosed table, expected `]`
    "#);
    insta::assert_snapshot!(output.stderr.lines().last().unwrap(), @"19 mistakes in 3 files; 1 file is fine");
    // Each has its way out.
    let blocks = output.stderr.trim_end().split("\n\n").filter(|block| block.starts_with("error: "));
    for block in blocks {
        assert!(block.lines().count() >= 4, "{block}");
    }
    let json = workspace.overnight(&["check", "experiments", "--json"]).code(78).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["problems"].as_array().unwrap().len(), places.len());
    assert_eq!(json["experiments"].as_array().unwrap().len(), 1);
}

#[test]
fn data_that_is_missing_is_named_beside_what_is_wrong_elsewhere() {
    let text = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\n[train]\nstesp = 3\n";
    let workspace = Workspace::new().file("experiments/x.toml", text);
    let output = workspace.overnight(&["check", "experiments/x.toml"]).code(78);
    output.says("x.toml:3:9: ").says("x.toml:7:1: ").says("2 mistakes in 1 file\n");
}

#[test]
fn what_only_follows_from_a_mistake_is_not_named() {
    for (text, mistakes) in [
        // A width that could not be read divides nothing.
        ("[data]\nkind = \"shapes\"\n[model]\nkind = \"gpt\"\n", 1),
        ("[data]\nkind = \"text\"\nfils = [\"a.txt\"]\n[model]\nkind = \"gpt\"\n", 1),
        ("[data]\nkind = \"shapes\"\n[modle]\nkind = \"mlp\"\n", 1),
        ("[data]\nkind = \"shaps\"\n[model]\nkind = \"mlp\"\n", 1),
        ("[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[[alerts]]\nwhn = \"val/loss > 5\"\n", 1),
        (
            "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[train]\nbatch_size = 0\n[sweep]\nseeds = [1, 2, 3]\n",
            1,
        ),
    ] {
        let workspace = Workspace::new().file("experiments/x.toml", text);
        let output = workspace.overnight(&["check", "experiments/x.toml"]).code(78);
        assert_eq!(output.stderr.matches("error: ").count(), mistakes, "{text}\n{}", output.stderr);
    }
}

#[test]
fn a_folder_is_checked_whole_and_elsewhere_the_way_to_name_its_files_is_said() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "").experiment("y", 4, &[1, 2], "");
    let output = workspace.overnight(&["check", "experiments"]).code(0);
    assert_eq!(output.stdout, "experiments/x.toml: fine, 1 run\nexperiments/y.toml: fine, 2 runs\n");
    for verb in ["run", "queue", "plan"] {
        let output = workspace.overnight(&[verb, "experiments"]).code(78);
        assert_eq!(
            output.stderr,
            "error: experiments: is a folder\n  name the files in it: experiments/*.toml\n"
        );
    }
    workspace.overnight(&["check", "."]).code(78).says(".: has no experiment files\n  they end in .toml");
    let workspace = workspace.file("overnight.toml", "");
    let output = workspace.overnight(&["check", "overnight.toml", "experiments/x.toml"]).code(0);
    assert_eq!(output.stdout, "overnight.toml: fine\nexperiments/x.toml: fine, 1 run\n");
}
