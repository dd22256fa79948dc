//! Values that cannot be: ranges, and settings that do not go together. Data files are not looked at.

use super::diagnostic::Problem;
use super::metric::{Direction, Metric};
use super::settings::*;
use crate::run_dir::metrics::columns;

/// Everything wrong with the settings, in the order of the file's sections.
pub fn problems(settings: &Settings) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    data(&settings.data, &mut found);
    model(settings, &mut found);
    weights(settings.weights.as_ref(), &mut found);
    train(settings, &mut found);
    optimizer(&settings.train.optimizer, &mut found);
    schedule(&settings.train, &mut found);
    along_the_way(settings, &mut found);
    resources(&settings.resources, &mut found);
    found.0
}

/// Everything wrong with how runs are to stand in the queue.
pub fn queue_problems(queue: &Queue) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    found.at_least_zero("queue.hang_minutes", queue.hang_minutes);
    if let Some(limit) = queue.limit {
        found.count("queue.limit", limit, 1, u64::from(u32::MAX));
    }
    found.0
}

struct Found(Vec<Problem>);

impl Found {
    fn unless(&mut self, is_fine: bool, path: &str, reason: impl Into<String>, way_out: impl Into<String>) {
        if !is_fine {
            self.0.push(Problem::new(path, reason, way_out));
        }
    }

    /// A whole number from `min` to `max`.
    fn count(&mut self, path: &str, value: impl Into<u64>, min: u64, max: u64) {
        let value = value.into();
        let fits = (min..=max).contains(&value);
        self.unless(
            fits,
            path,
            format!("{path} cannot be {value}"),
            format!("write a number from {min} to {max}"),
        );
    }

    /// A part of a whole: from 0, or above 0, to below 1.
    fn part(&mut self, path: &str, value: f64, may_be_zero: bool) {
        let fits = value < 1.0 && (value > 0.0 || (may_be_zero && value == 0.0));
        let from = if may_be_zero { "from 0" } else { "above 0" };
        self.unless(
            fits,
            path,
            format!("{path} cannot be {value}"),
            format!("write a number {from}, below 1"),
        );
    }

    fn at_least_zero(&mut self, path: &str, value: f64) {
        let fits = value >= 0.0 && value.is_finite();
        self.unless(fits, path, format!("{path} cannot be {value}"), "write 0 or more");
    }

    fn above_zero(&mut self, path: &str, value: f64) {
        let fits = value > 0.0 && value.is_finite();
        self.unless(fits, path, format!("{path} cannot be {value}"), "write a number above 0");
    }

    fn named(&mut self, path: &str, value: &str, example: &str) {
        self.unless(
            !value.trim().is_empty(),
            path,
            format!("{path} is not given"),
            format!("write {example}"),
        );
    }
}

fn data(data: &Data, found: &mut Found) {
    match data {
        Data::Text(text) => {
            let has_files = !text.files.is_empty() && text.files.iter().all(|file| !file.trim().is_empty());
            found.unless(
                has_files,
                "data.files",
                "no text is named",
                "write files = [\"../data/input.txt\"], globs and folders too",
            );
            found.part("data.validation", text.validation, false);
            for (_, need, pattern) in text.taken() {
                let stays = !pattern.is_empty() && !pattern.starts_with('/') && !pattern.contains("..");
                found.unless(
                    stays,
                    "data.files",
                    format!("\"{need}:{pattern}\" names nothing in the directory of a run"),
                    format!(
                        "write \"{need}:samples/*.json\", or \"./{need}:{pattern}\" for a file of that name"
                    ),
                );
            }
        }
        Data::Idx(idx) => {
            found.named("data.images", &idx.images, "images = \"train-images-idx3-ubyte.gz\"");
            found.named("data.labels", &idx.labels, "labels = \"train-labels-idx1-ubyte.gz\"");
            let both = idx.validation_images.is_some() == idx.validation_labels.is_some();
            let missing = if idx.validation_images.is_some() {
                "data.validation_images"
            } else {
                "data.validation_labels"
            };
            found.unless(
                both,
                missing,
                "validation images and labels come together",
                "give both, or neither",
            );
            either(found, idx.validation, idx.validation_images.is_some(), "data.validation_images");
        }
        Data::Folder(folder) => {
            found.named(
                "data.path",
                &folder.path,
                "path = \"images\", a folder with a folder for each class",
            );
            found.count("data.size", folder.size, 4, 1024);
            let gray_or_color = folder.channels == 1 || folder.channels == 3;
            found.unless(
                gray_or_color,
                "data.channels",
                format!("data.channels cannot be {}", folder.channels),
                "write 1 (gray) or 3 (color)",
            );
            either(found, folder.validation, folder.validation_path.is_some(), "data.validation_path");
        }
        Data::Shapes(shapes) => {
            found.count("data.count", shapes.count, 20, 1_000_000);
            found.count("data.classes", shapes.classes, 2, 6);
            found.count("data.size", shapes.size, 8, 256);
        }
    }
}

fn either(found: &mut Found, part: Option<f64>, has_files: bool, files: &str) {
    let Some(part) = part else { return };
    found.part("data.validation", part, false);
    found.unless(
        !has_files,
        "data.validation",
        format!("data.validation and {files} exclude each other"),
        "keep one of them",
    );
}

fn model(settings: &Settings, found: &mut Found) {
    let is_gpt = matches!(settings.model, Model::Gpt(_));
    let fits = is_gpt == (settings.task() == Task::LanguageModel);
    let kind = settings.model.kind();
    let (what, way_out) = match settings.task() {
        Task::LanguageModel => ("text", "write model.kind = \"gpt\""),
        Task::ImageClassification => ("images", "write model.kind = \"mlp\", \"cnn\" or \"resnet18\""),
    };
    found.unless(
        fits,
        "model.kind",
        format!("a model of kind \"{kind}\" does not learn from {what}"),
        way_out,
    );
    match &settings.model {
        Model::Gpt(gpt) => {
            found.count("model.layers", gpt.layers, 1, 256);
            found.count("model.heads", gpt.heads, 1, 256);
            found.count("model.width", gpt.width, 1, 65_536);
            found.count("model.context", gpt.context, 1, 1 << 20);
            found.part("model.dropout", gpt.dropout, true);
            let (width, heads) = (gpt.width, gpt.heads.max(1));
            found.unless(
                width.is_multiple_of(heads),
                "model.width",
                format!("model.width = {width} cannot be divided among {heads} heads"),
                format!(
                    "write a multiple of {heads}, such as {} or {}",
                    (width / heads).max(1).saturating_mul(heads),
                    (width / heads).saturating_add(1).saturating_mul(heads)
                ),
            );
        }
        Model::Mlp(mlp) => {
            found.part("model.dropout", mlp.dropout, true);
            for size in &mlp.hidden {
                found.count("model.hidden", *size, 1, 65_536);
            }
        }
        Model::Cnn(cnn) => {
            found.part("model.dropout", cnn.dropout, true);
            found.unless(
                !cnn.channels.is_empty(),
                "model.channels",
                "a convolutional net needs a convolution",
                "write channels = [32, 64]",
            );
            for channels in &cnn.channels {
                found.count("model.channels", *channels, 1, 4096);
            }
        }
        Model::Resnet18(resnet) => found.count("model.width", resnet.width, 1, 512),
    }
}

fn weights(weights: Option<&Weights>, found: &mut Found) {
    let Some(weights) = weights else { return };
    found.named("weights.from", &weights.from, "from = \"pretrain\", an experiment or one of its runs");
    found.unless(
        weights.which().is_some(),
        "weights.file",
        format!("weights.file cannot be \"{}\"", weights.file),
        format!("write \"best\", \"last\", or a checkpoint's file such as \"{}\"", Which::file_of(1000)),
    );
}

fn train(settings: &Settings, found: &mut Found) {
    let train = &settings.train;
    found.unless(
        train.steps.is_none() || train.epochs.is_none(),
        "train.epochs",
        "train.steps and train.epochs exclude each other",
        "keep one of them",
    );
    if let Some(steps) = train.steps {
        found.count("train.steps", steps, 1, 1 << 40);
    }
    if let Some(epochs) = train.epochs {
        found.above_zero("train.epochs", epochs);
        let reason = format!("train.epochs cannot be {epochs}");
        found.unless(epochs < 1e6 || epochs.is_nan(), "train.epochs", reason, "write a number below 1000000");
    }
    found.count("train.batch_size", train.batch_size, 1, 1 << 20);
    found.count("train.accumulate", train.accumulate, 1, 65_536);
    found.at_least_zero("train.clip", train.clip);
    found.count("train.log_every", train.log_every, 1, 1 << 40);
    found.count("train.seed", train.seed, 0, i64::MAX as u64);
    found.part("train.label_smoothing", train.label_smoothing, true);
    let means_something = train.label_smoothing == 0.0 || settings.task() == Task::ImageClassification;
    found.unless(
        means_something,
        "train.label_smoothing",
        "label smoothing is for classes of images, not for text",
        "leave it out",
    );
}

fn optimizer(optimizer: &Optimizer, found: &mut Found) {
    found.above_zero("train.optimizer.lr", optimizer.lr());
    match optimizer {
        Optimizer::Adamw(adamw) => {
            for beta in adamw.betas {
                found.part("train.optimizer.betas", beta, true);
            }
            found.above_zero("train.optimizer.eps", adamw.eps);
            found.at_least_zero("train.optimizer.weight_decay", adamw.weight_decay);
        }
        Optimizer::Sgd(sgd) => {
            found.part("train.optimizer.momentum", sgd.momentum, true);
            found.at_least_zero("train.optimizer.weight_decay", sgd.weight_decay);
            found.unless(
                !sgd.nesterov || sgd.momentum > 0.0,
                "train.optimizer.nesterov",
                "Nesterov's momentum needs a momentum above 0",
                "write momentum = 0.9, or leave nesterov out",
            );
        }
    }
}

fn schedule(train: &Train, found: &mut Found) {
    let Schedule { kind, warmup, floor } = train.schedule;
    let lr = train.optimizer.lr();
    let path = "train.schedule.floor";
    found.at_least_zero(path, floor);
    found.unless(
        floor <= lr || !lr.is_finite(),
        path,
        format!("the floor {floor} lies above the learning rate {lr}"),
        "write a floor below train.optimizer.lr",
    );
    let moves = kind != ScheduleKind::Constant;
    found.unless(
        moves || floor == 0.0,
        path,
        "a constant learning rate has no floor",
        "write kind = \"cosine\", or leave floor out",
    );
    if let Some(steps) = train.steps {
        found.unless(
            warmup < steps,
            "train.schedule.warmup",
            format!("the warm-up of {warmup} steps does not end within the {steps} steps of the run"),
            "write fewer steps of warm-up",
        );
    }
}

fn along_the_way(settings: &Settings, found: &mut Found) {
    found.count("checkpoint.keep", settings.checkpoint.keep, 1, 1 << 20);
    metric(settings, "checkpoint.best", &settings.checkpoint.best, found);
    if let Some(stop) = &settings.stop {
        metric(settings, "stop.metric", &stop.metric, found);
        found.unless(
            stop.patience.is_some() || stop.target.is_some(),
            "stop",
            "[stop] says neither patience nor target",
            "write patience = 5, or target = 1.5",
        );
        if let Some(patience) = stop.patience {
            found.count("stop.patience", patience, 1, 1 << 20);
        }
        if let Some(target) = stop.target {
            found.unless(
                target.is_finite(),
                "stop.target",
                format!("stop.target cannot be {target}"),
                "write a number",
            );
        }
    }
    let sample = &settings.sample;
    found.count("sample.tokens", sample.tokens, 1, 100_000);
    found.at_least_zero("sample.temperature", sample.temperature);
    found.count("sample.count", sample.count, 1, 1024);
    let has_share = sample.top_p > 0.0 && sample.top_p <= 1.0;
    found.unless(
        has_share,
        "sample.top_p",
        format!("sample.top_p cannot be {}", sample.top_p),
        "write a number above 0, to 1",
    );
    let prompts_fit = sample.prompts.is_empty() || settings.task() == Task::LanguageModel;
    found.unless(prompts_fit, "sample.prompts", "a classifier of images takes no prompts", "leave them out");
    for prompt in &sample.prompts {
        found.unless(
            !prompt.is_empty(),
            "sample.prompts",
            "an empty prompt gives the model nothing to go on from",
            "write a newline, \"\\n\", for a start from nothing",
        );
    }
}

fn metric(settings: &Settings, path: &str, name: &str, found: &mut Found) {
    let better: Vec<&str> = columns(settings)
        .into_iter()
        .filter(|name| {
            name.starts_with("val/")
                && Metric::named(name).is_some_and(|metric| metric.direction != Direction::Neither)
        })
        .collect();
    found.unless(
        better.contains(&name),
        path,
        format!("evaluations of this run give no \"{name}\""),
        format!("write one of {}", better.join(", ")),
    );
}

fn resources(resources: &Resources, found: &mut Found) {
    let device = resources.device.as_str();
    let number = device.strip_prefix("cuda:");
    let is_known = ["auto", "cpu", "cuda"].contains(&device)
        || number.is_some_and(|number| number.parse::<u32>().is_ok());
    found.unless(
        is_known,
        "resources.device",
        format!("there is no device \"{device}\""),
        "write \"auto\", \"cpu\", \"cuda\", or one GPU as \"cuda:1\"",
    );
    if let Some(threads) = resources.threads {
        found.count("resources.threads", threads, 1, 1024);
    }
    if let Some(mib) = resources.gpu_memory_mib {
        found.count("resources.gpu_memory_mib", mib, 1, 1 << 24);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::Experiment;

    /// Every way a value cannot be: what is written, and what the complaint must say.
    #[test]
    fn each_impossible_value_is_refused_with_a_way_out() {
        let text = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\n";
        let images = "[data]\nkind = \"idx\"\nimages = \"i\"\nlabels = \"l\"\n[model]\nkind = \"cnn\"\n";
        for (base, setting, complaint) in [
            (text, "model.width=130", "cannot be divided among 4 heads"),
            (text, "model={kind=\"gpt\", width=4294967295, heads=4294967294}", "cannot be divided"),
            (text, "model.layers=0", "model.layers cannot be 0"),
            (text, "weights={file = \"best\"}", "weights.from is not given"),
            (text, "weights={from = \"x\", file = \"newest\"}", "weights.file cannot be \"newest\""),
            (text, "model.dropout=1.0", "model.dropout cannot be 1"),
            (text, "model.dropout=nan", "model.dropout cannot be NaN"),
            (text, "data.validation=1.0", "data.validation cannot be 1"),
            (text, "data.validation=0", "data.validation cannot be 0"),
            (text, "data.files=[]", "no text is named"),
            (text, "data.files=[\"x:../y\"]", "names nothing in the directory of a run"),
            (text, "train.batch_size=0", "train.batch_size cannot be 0"),
            (text, "train.clip=-1", "train.clip cannot be -1"),
            (text, "train.clip=inf", "train.clip cannot be inf"),
            (text, "train.epochs=0", "train.epochs cannot be 0"),
            (text, "train.label_smoothing=0.1", "not for text"),
            (text, "train.optimizer.lr=0", "train.optimizer.lr cannot be 0"),
            (text, "train.optimizer.betas=[0.9, 1.0]", "train.optimizer.betas cannot be 1"),
            (text, "train.schedule={kind = \"cosine\", floor = 1}", "lies above the learning rate"),
            (text, "train.schedule.floor=1e-5", "constant learning rate has no floor"),
            (text, "checkpoint.best=\"val/accuracy\"", "give no \"val/accuracy\""),
            (text, "checkpoint.keep=0", "checkpoint.keep cannot be 0"),
            (text, "stop={}", "neither patience nor target"),
            (text, "sample.prompts=[\"\"]", "empty prompt"),
            (text, "sample.top_p=0", "sample.top_p cannot be 0"),
            (text, "resources.device=\"gpu\"", "no device \"gpu\""),
            (text, "resources.device=\"cuda:x\"", "no device"),
            (images, "sample.prompts=[\"a\"]", "takes no prompts"),
            (images, "model.channels=[]", "needs a convolution"),
            (images, "data.validation_images=\"v\"", "come together"),
            (
                images,
                "train.optimizer={kind=\"sgd\", momentum=0.0, nesterov=true}",
                "needs a momentum above 0",
            ),
            (images, "model={kind=\"gpt\"}", "does not learn from images"),
        ] {
            let overrides = [setting.parse().unwrap()];
            let rejected = Experiment::from_text(Path::new("x.toml"), base, &overrides)
                .expect_err(&format!("{setting} should be refused"));
            assert!(rejected.to_string().contains(complaint), "{setting}: {rejected}");
            assert!(rejected.0.iter().all(|diagnostic| !diagnostic.way_out.is_empty()), "{setting}");
        }
    }

    #[test]
    fn steps_and_warmup_are_held_against_each_other() {
        let text = "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[train]\nsteps = 10\nepochs = 2\n[train.schedule]\nwarmup = 10\n";
        let rejected = Experiment::from_text(Path::new("x.toml"), text, &[]).unwrap_err().to_string();
        assert!(rejected.contains("x.toml:7:10") && rejected.contains("exclude each other"), "{rejected}");
        assert!(rejected.contains("x.toml:9:10") && rejected.contains("does not end within"), "{rejected}");
    }
}
