//! Runs that begin with the weights of others, from the experiment files to the last checkpoint.

use std::fs;
use std::process::{Command, Output, Stdio};

use overnight::run_dir::records::{Attempt, ModelRecord};
use overnight::run_dir::stage::TakenWeights;
use overnight::run_dir::status::last_start;
use overnight::run_dir::{RunDir, Workspace, read, scan};
use tempfile::TempDir;

/// So small that a step moves no weight.
const STILL: &str = "[train]\nsteps = 2\nbatch_size = 4\n[train.optimizer]\nkind = \"sgd\"\nlr = 1e-30\n";

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("experiments")).unwrap();
        let place = Place { folder };
        place
            .file("text.txt", &"one for sorrow, two for joy, three for a girl, four for a boy.\n".repeat(60));
        // Fewer characters than the other, so that its own vocabulary would be another.
        place.file("other.txt", &"a girl for joy, a boy for sorrow.\n".repeat(60));
        place
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("experiments").join(name), text).unwrap();
    }

    fn overnight(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
        command.arg("-C").arg(self.folder.path()).args(arguments);
        command.env_remove("OVERNIGHT_WORKER").env("GOMP_SPINCOUNT", "1000").stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout) + &text(stderr))
    }

    fn run(&self, names: &[&str]) -> String {
        let files = names.iter().map(|name| format!("experiments/{name}.toml"));
        let files: Vec<String> =
            files.map(|file| self.folder.path().join(file).display().to_string()).collect();
        let mut arguments = vec!["run", "--plain", "--no-report", "--slots", "1"];
        arguments.extend(files.iter().map(String::as_str));
        let (code, said) = self.overnight(&arguments);
        assert_eq!(code, Some(0), "{said}");
        said
    }

    fn only(&self, experiment: &str) -> RunDir {
        let mut runs = scan::runs_of(&Workspace::new(self.folder.path()), experiment);
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }
}

fn taken(run: &RunDir) -> TakenWeights {
    let attempts = read::lines::<Attempt>(&run.attempts()).unwrap().records;
    *last_start(&attempts).unwrap().weights.clone().expect("its start line says what it began with")
}

fn gpt(text: &str, more: &str) -> String {
    format!(
        "[data]\nkind = \"text\"\nfiles = [\"{text}\"]\n[model]\nkind = \"gpt\"\nlayers = 1\nheads = 2\nwidth = 16\n\
         context = 8\n[resources]\ndevice = \"cpu\"\nthreads = 1\n[evaluate]\nevery = 10\nbatches = 2\n\
         [checkpoint]\nevery = 10\n{more}"
    )
}

#[test]
fn a_language_model_goes_on_from_another_with_its_vocabulary_and_can_be_verified() {
    let place = Place::new();
    let sweep =
        "[train]\nsteps = 30\nbatch_size = 4\n[sweep.values]\n\"train.optimizer.lr\" = [1e-2, 1e-9]\n";
    place.file("pretrain.toml", &gpt("text.txt", sweep));
    let weights = "[sample]\nprompts = [\"three\"]\n[weights]\nfrom = \"pretrain\"\n";
    place.file("still.toml", &gpt("other.txt", &format!("{weights}{STILL}")));
    let moves = "[train]\nsteps = 20\nbatch_size = 4\nlog_every = 1\n";
    place.file("tune.toml", &gpt("other.txt", &format!("{weights}file = \"last\"\n{moves}")));
    place.run(&["still", "tune", "pretrain"]);

    let still = place.only("still");
    let from = taken(&still);
    assert!(
        from.run.starts_with("lr0.01") && from.why.starts_with("the best of 2 runs, val/loss"),
        "{from:?}"
    );
    let source = Workspace::new(place.folder.path()).run("pretrain", &from.run);
    let bytes = |run: &RunDir, file: &str| fs::read(run.path().join(file)).unwrap();
    let last = "checkpoints/step-00000002/model.safetensors";
    assert!(bytes(&still, last) == bytes(&source, &from.file), "no weight moved since");
    let vocabulary = |run: &RunDir| read::json::<ModelRecord>(&run.model_json()).unwrap().vocabulary.unwrap();
    assert_eq!(vocabulary(&still), vocabulary(&source));
    assert!(still.sample_json(2).is_file(), "a prompt of the other text has tokens");

    let tune = place.only("tune");
    let first_loss = |run: &RunDir| {
        let table = overnight::run_dir::metrics::Metrics::read(&run.metrics()).unwrap();
        table.points("step", "train/loss").next().unwrap().1
    };
    assert!(first_loss(&tune) < first_loss(&source) - 0.3, "it knows something of the language already");
    // The other run may go, and this one can be taken again from its beginning all the same.
    fs::remove_dir_all(source.path()).unwrap();
    let name = format!("tune/{}", tune.name());
    let (code, said) = place.overnight(&["verify", &name, "--all"]);
    assert_eq!(code, Some(0), "{said}");
    // Nobody takes other weights for those.
    fs::write(tune.taken_weights(), "other weights").unwrap();
    let (code, said) = place.overnight(&["verify", &name, "--all"]);
    assert!(code != Some(0) && said.contains("does not have the hash"), "{said}");
}

#[test]
fn a_classifier_takes_everything_but_the_head_that_tells_other_classes_apart() {
    let place = Place::new();
    let shapes = |classes: u32, more: &str| {
        format!(
            "[data]\nkind = \"shapes\"\ncount = 60\nclasses = {classes}\nsize = 12\n[model]\nkind = \"cnn\"\n\
             channels = [4]\n[resources]\ndevice = \"cpu\"\nthreads = 1\n{more}"
        )
    };
    place.file("three.toml", &shapes(3, "[train]\nsteps = 5\n"));
    for (name, classes) in [("same", 3), ("five", 5)] {
        let begins = "[weights]\nfrom = \"three\"\n";
        place.file(&format!("{name}.toml"), &shapes(classes, &format!("{begins}{STILL}")));
    }
    place.run(&["three", "same", "five"]);
    let log = |name: &str| fs::read_to_string(place.only(name).train_log()).unwrap();
    let same = fs::read(place.only("same").checkpoint(2).model()).unwrap();
    assert!(same == fs::read(place.only("three").checkpoint(5).model()).unwrap());
    assert!(!log("same").contains("but for"), "{}", log("same"));
    assert!(
        log("five").contains("but for fc.1.weight and fc.1.bias: its classes are others"),
        "{}",
        log("five")
    );
}

#[test]
fn a_run_learns_from_what_another_wrote_and_can_be_verified_when_that_is_gone() {
    let place = Place::new();
    let samples =
        "[train]\nsteps = 4\nbatch_size = 4\n[sample]\nprompts = [\"one for \"]\ntokens = 200\nevery = 2\n";
    place.file("generate.toml", &gpt("text.txt", samples));
    let learns = "[train]\nsteps = 3\nbatch_size = 4\n";
    place.file("learn.toml", &gpt("generate:samples/*.json", learns));
    place.run(&["learn", "generate"]);
    let (learn, generate) = (place.only("learn"), place.only("generate"));
    let attempts = read::lines::<Attempt>(&learn.attempts()).unwrap().records;
    let text = last_start(&attempts).unwrap().text.clone();
    let files: Vec<&str> = text.iter().map(|file| file.file.as_str()).collect();
    assert_eq!(files, ["samples/step-00000002.json", "samples/step-00000004.json"]);
    assert_eq!((text[0].experiment.as_str(), &text[0].run), ("generate", &generate.name()));
    let taken = fs::read_to_string(learn.path().join(&text[0].path)).unwrap();
    assert!(taken.starts_with("one for ") && taken.chars().count() == 209, "{taken:?}");
    fs::remove_dir_all(generate.path()).unwrap();
    let (code, said) = place.overnight(&["verify", &format!("learn/{}", learn.name()), "--all"]);
    assert_eq!(code, Some(0), "{said}");
    place.file("epochs.toml", &gpt("generate:samples/*.json", "[train]\nepochs = 3\n"));
    let file = place.folder.path().join("experiments/epochs.toml").display().to_string();
    let (code, said) = place.overnight(&["check", &file]);
    assert!(code == Some(78) && said.contains("count in steps, not in epochs"), "{said}");
}
