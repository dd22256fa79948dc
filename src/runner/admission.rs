//! Whether a run may start on a GPU that others use too. Pure: what the driver reports, what was promised
//! and what the run takes go in, a verdict with its reason comes out. All amounts are bytes.

use super::division::Processor;
use crate::say;
use crate::workspace_settings::DeviceSettings;

/// What of this machine's devices is left, as far as a decision needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vacancies {
    /// By position of the GPU; none where the driver does not tell its memory.
    pub gpus: Vec<Option<GpuMemory>>,
    pub rules: Rules,
    pub processor: Processor,
    /// Threads that runs on the processor may have together; none where a person has divided them.
    pub cores: Option<u32>,
}

/// What a person allows, from the workspace's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether several runs may be on one GPU at once.
    pub share: bool,
    /// Kept free beside what runs are known to take.
    pub margin: u64,
}

impl Rules {
    pub fn of(settings: &DeviceSettings) -> Rules {
        Rules { share: settings.share, margin: u64::from(settings.margin_mib) << 20 }
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::of(&DeviceSettings::default())
    }
}

/// What a run takes of a GPU's memory at its peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Known {
        bytes: u64,
        source: Source,
    },
    /// A probe, or an attempt, had so much and it was not enough.
    MoreThan(u64),
    Unknown(Probing),
}

/// How it is known what a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An earlier attempt of this run was measured.
    LastTime,
    /// A run of the same settings was measured.
    Alike,
    /// `resources.gpu_memory_mib`.
    File,
    Probe,
}

/// What a probe could do about a need that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probing {
    Possible,
    UnderWay,
    /// It was tried and said nothing about memory.
    Failed,
}

/// One GPU at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuMemory {
    /// Its number among the machine's GPUs, for the words.
    pub index: u32,
    pub total: u64,
    /// As the driver reports it: other people's processes are counted in.
    pub free: u64,
    /// This runner's runs on it.
    pub tenants: Vec<Tenant>,
    /// By how much the device's use grew since tenants live whose own use the driver does not tell.
    pub grown: u64,
    /// Of runs that ended and whose memory the driver still counts.
    pub returning: u64,
    /// The run that a probe tries out on it.
    pub probed: Option<String>,
}

/// A run that lives on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub name: String,
    /// At its peak; none when nobody knows.
    pub need: Option<u64>,
    /// Now, where the driver tells it of the process.
    pub used: Option<u64>,
}

/// May it start there?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// It may be too little, but none of ours holds the rest: better than to wait for others all night.
    Tight(String),
    /// First find out what it takes.
    Probe,
    /// Not now, and why.
    Waits(String),
    /// Not on this GPU at all, and why.
    TooLarge(String),
}

/// Whether a run with this need may start on `gpu`. `several` says that more runs wait than GPUs are
/// empty, so that sharing would help.
pub fn admit(need: Need, gpu: &GpuMemory, rules: Rules, several: bool) -> Verdict {
    let index = gpu.index;
    if let Some(name) = &gpu.probed {
        return Verdict::Waits(format!("GPU {index}: a probe finds out what {name} takes"));
    }
    if let Need::Known { bytes, source } = need
        && bytes > gpu.total
    {
        let total = say::bytes(gpu.total);
        return Verdict::TooLarge(format!("GPU {index} has {total} in all, {}", took(bytes, source)));
    }
    if let Some(tenant) = gpu.tenants.iter().find(|tenant| tenant.need.is_none()) {
        let name = &tenant.name;
        return Verdict::Waits(format!("GPU {index}: nobody knows yet what {name} takes of it"));
    }
    if gpu.returning > 0 {
        let returning = say::bytes(gpu.returning);
        return Verdict::Waits(format!(
            "GPU {index}: waiting for {returning} of ended runs to be given back"
        ));
    }
    let is_empty = gpu.tenants.is_empty();
    if !is_empty && !rules.share {
        return Verdict::Waits("for a free GPU".to_owned());
    }
    match need {
        Need::Known { bytes, source } => known(bytes, source, gpu, rules),
        Need::MoreThan(bytes) => more_than(bytes, gpu, rules),
        Need::Unknown(probing) => unknown(probing, gpu, rules, several),
    }
}

/// Whether this runner's own runs are all that a waiting run waits for there: it could go on if they ended.
pub fn would_fit(need: Need, gpu: &GpuMemory, rules: Rules) -> bool {
    let emptied = GpuMemory {
        index: gpu.index,
        total: gpu.total,
        free: gpu.total.saturating_sub(gpu.others()),
        ..GpuMemory::default()
    };
    let verdict = || admit(need, &emptied, rules, true);
    !gpu.tenants.is_empty() && !matches!(verdict(), Verdict::Waits(_) | Verdict::TooLarge(_))
}

/// What a run that starts will take at its peak, where that is known.
pub fn expected(need: Need) -> Option<u64> {
    match need {
        Need::Known { bytes, .. } => Some(bytes),
        Need::MoreThan(_) | Need::Unknown(_) => None,
    }
}

/// How many more runs of this need fit beside each other, for estimates.
pub fn room_for(bytes: u64, gpu: &GpuMemory, rules: Rules) -> u64 {
    gpu.spare(rules) / bytes.max(1)
}

impl GpuMemory {
    /// What runs that were started will still take until they are at their peak.
    pub fn promised(&self) -> u64 {
        let rest = |tenant: &Tenant| tenant.need.unwrap_or(0).saturating_sub(tenant.used.unwrap_or(0));
        let (told, untold): (Vec<&Tenant>, Vec<&Tenant>) =
            self.tenants.iter().partition(|tenant| tenant.used.is_some());
        let untold: u64 = untold.into_iter().map(rest).sum();
        told.into_iter().map(rest).sum::<u64>() + untold.saturating_sub(self.grown)
    }

    /// Free, and promised to nobody.
    pub fn available(&self) -> u64 {
        self.free.saturating_sub(self.promised())
    }

    /// What processes that are not this runner's hold, and the driver itself.
    pub fn others(&self) -> u64 {
        let ours: u64 = self.tenants.iter().filter_map(|tenant| tenant.used).sum();
        self.total.saturating_sub(self.free).saturating_sub(ours + self.grown + self.returning)
    }

    /// Whether somebody else fills it to an extent that matters; a driver alone takes some hundred MiB.
    pub fn is_crowded(&self, rules: Rules) -> bool {
        self.others() > rules.margin.max(self.total / 100 * 3)
    }

    fn spare(&self, rules: Rules) -> u64 {
        self.available().saturating_sub(rules.margin)
    }
}

fn known(bytes: u64, source: Source, gpu: &GpuMemory, rules: Rules) -> Verdict {
    // The margin is for what neighbors do. A run that was alone may be alone again at the same size.
    let is_alone = gpu.tenants.is_empty() && !gpu.is_crowded(rules);
    if bytes <= gpu.spare(rules) || (is_alone && bytes <= gpu.free) {
        return Verdict::Fits;
    }
    let (index, available) = (gpu.index, say::bytes(gpu.available()));
    let promised = match gpu.promised() {
        0 => String::new(),
        promised => format!(" beside the {} promised to its runs", say::bytes(promised)),
    };
    let margin = match bytes <= gpu.available() {
        true => format!(", and {} are to stay free", say::bytes(rules.margin)),
        false => String::new(),
    };
    Verdict::Waits(format!("GPU {index} has {available} free{promised}, {}{margin}", took(bytes, source)))
}

/// A later probe would end as that one did. Alone it takes what there is, and being out of memory splits
/// it; but not while others hold most of what was tried, or it would be split for their sake.
fn more_than(bytes: u64, gpu: &GpuMemory, rules: Rules) -> Verdict {
    let spare = gpu.spare(rules);
    let is_empty = gpu.tenants.is_empty();
    if is_empty && (!gpu.is_crowded(rules) || spare > bytes) {
        return Verdict::Fits;
    }
    let reason = format!(
        "GPU {} has {} free, and {} were too little for this run",
        gpu.index,
        say::bytes(gpu.available()),
        say::bytes(bytes)
    );
    match is_empty && spare > bytes / 2 {
        true => Verdict::Tight(reason),
        false => Verdict::Waits(reason),
    }
}

fn unknown(probing: Probing, gpu: &GpuMemory, rules: Rules, several: bool) -> Verdict {
    let is_empty = gpu.tenants.is_empty();
    let is_own = is_empty && !gpu.is_crowded(rules);
    let shares = rules.share && several;
    match probing {
        // Alone on a GPU of its own it may take what it likes.
        Probing::Possible | Probing::UnderWay if is_own && !shares => Verdict::Fits,
        Probing::UnderWay if is_own => Verdict::Fits,
        Probing::Possible if gpu.spare(rules) > 0 => Verdict::Probe,
        Probing::Failed if is_empty => Verdict::Fits,
        _ => Verdict::Waits(format!(
            "GPU {} has {} free, and nobody knows yet what this run takes",
            gpu.index,
            say::bytes(gpu.available())
        )),
    }
}

fn took(bytes: u64, source: Source) -> String {
    let bytes = say::bytes(bytes);
    match source {
        Source::LastTime => format!("this run took {bytes} last time"),
        Source::Alike => format!("a run of these settings took {bytes}"),
        Source::File => format!("this run takes {bytes}, as its file says"),
        Source::Probe => format!("a probe of this run took {bytes}"),
    }
}

#[cfg(test)]
mod tests;
