//! What a GPU's memory is taken by at one moment, as the driver tells it.

/// A GPU's memory. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    pub total: u64,
    /// What nobody holds, neither processes nor the driver.
    pub free: u64,
    /// Numbers of the processes that compute on it and what each holds, where the driver tells. Inside a
    /// container these numbers are those of the host.
    pub processes: Vec<(u32, u64)>,
}

impl DeviceMemory {
    /// What is held by anybody.
    pub fn held(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    pub fn of(&self, process: u32) -> Option<u64> {
        self.processes.iter().find(|(number, _)| *number == process).map(|(_, bytes)| *bytes)
    }
}
