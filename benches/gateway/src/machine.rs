//! What the kernel says of processes: CPU and memory, of a process with all its children. Linux only.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ`: the unit of times in `/proc/<pid>/stat`, 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and all that it started.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        for list in children {
            found.extend(
                list.split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// User and system time so far, ended threads included. Known to 10 ms.
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut ticks = 0.0;
    for pid in tree(pid) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("no stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // fields 14 and 15 of proc(5), the first of these being field 3
        for field in [11, 12] {
            ticks += fields.get(field).context("no time")?.parse::<f64>()?;
        }
    }
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

/// Time that the threads which live now have run, to the nanosecond: for what hardly runs at all.
pub fn run_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for pid in tree(pid) {
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            nanos += text
                .split_whitespace()
                .next()
                .context("no run time")?
                .parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Memory in KiB; what processes share is divided among them.
pub fn memory(pid: u32) -> Result<f64> {
    let mut kib = 0.0;
    for pid in tree(pid) {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .context("no Pss")?;
        kib += line.trim().trim_end_matches("kB").trim().parse::<f64>()?;
    }
    Ok(kib)
}

/// The processor, the cores and the kernel, in one line.
pub fn description() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
