//! What breaks, when, and for how long: drawn from a stream of its own, whatever anybody has decided. Faults that need a
//! certain moment are armed here and strike where that moment is; the others change the world at once.

use super::{Event, Simulation};
use crate::agenda::Moment;
use crate::faults::Fault;
use crate::link::Way;
use crate::server::Arrival;
use ensemble_model::fleet::Fleet;
use ensemble_model::id::EdgeNodeId;
use ensemble_model::log::format::{self, Chain, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;

const WEEK_MS: i64 = 7 * 24 * 60 * MINUTE_MS;

/// How often a class comes at the lowest intensity; none for those that strike by themselves where they can.
fn mean_ms(fault: Fault) -> Option<i64> {
    Some(match fault {
        Fault::NodeLost | Fault::NodeFlapping | Fault::NodeRebooted | Fault::BootIdChanged => 15 * MINUTE_MS,
        Fault::NodeFull | Fault::CapacityShrunk => 20 * MINUTE_MS,
        Fault::NodeLostPastDeadline => 40 * MINUTE_MS,
        Fault::LinkOneWay => 15 * MINUTE_MS,
        Fault::KilledBeforeAppend
        | Fault::KilledInAppend
        | Fault::KilledAfterAppend
        | Fault::KilledInSnapshot
        | Fault::KilledInRecovery
        | Fault::KilledTwice => 12 * MINUTE_MS,
        Fault::SecondServer | Fault::PowerCut | Fault::FailedSync | Fault::DiskFull => 20 * MINUTE_MS,
        Fault::BitFlip | Fault::TailCut => 30 * MINUTE_MS,
        Fault::ClockForward | Fault::ClockBackward | Fault::ClockStill => 20 * MINUTE_MS,
        Fault::Outage => 120 * MINUTE_MS,
        Fault::StartFails
        | Fault::StartHangs
        | Fault::ImageMissing
        | Fault::CrashLoop
        | Fault::ExitsWhileStopping
        | Fault::OrphanFound
        | Fault::DoubleReport
        | Fault::StaleReport
        | Fault::OlderAfterNewer
        | Fault::UnknownReported
        | Fault::ShimKilled
        | Fault::RecordHalfWritten
        | Fault::PidReused
        | Fault::AddressTaken
        | Fault::LinkDelay
        | Fault::LinkLoss
        | Fault::LinkDuplication
        | Fault::LinkReordering
        | Fault::RetryUnknown
        | Fault::DuplicateRequest
        | Fault::OutOfOrderDelete
        | Fault::ImpossibleSelector
        | Fault::Flood => return None,
    })
}

impl Simulation {
    pub(super) fn schedule_strikes(&mut self) {
        let on: Vec<Fault> = self.faults.switched_on().collect();
        for fault in on {
            self.schedule(fault);
        }
    }

    fn schedule(&mut self, fault: Fault) {
        let intensity = i64::try_from(self.faults.intensity(fault)).unwrap_or(0);
        if let Some(mean) = mean_ms(fault).filter(|_| intensity > 0) {
            let wait = self.dice.wait_ms(mean / intensity);
            self.after(wait, Event::Strike { fault });
        }
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        if self.faults.is_calm() {
            return;
        }
        if self.servers.is_empty() && self.is_booting && self.now >= self.ends_at {
            // Nobody is there to notice.
            self.after(60 * MINUTE_MS, Event::Strike { fault });
            return;
        }
        self.schedule(fault);
        if !self.deed() {
            return;
        }
        self.trace.say(self.now, || format!("strikes: {fault}"));
        match fault {
            Fault::NodeLost => self.lose_node(fault, 30_000, 10 * MINUTE_MS),
            Fault::NodeFlapping => self.lose_node(fault, 200, 5_000),
            Fault::NodeLostPastDeadline => self.lose_node(fault, 65 * MINUTE_MS, 180 * MINUTE_MS),
            Fault::NodeRebooted | Fault::BootIdChanged => self.reboot_node(fault),
            Fault::NodeFull => self.refit(fault, 0),
            Fault::CapacityShrunk => self.refit(fault, 2),
            Fault::LinkOneWay => self.cut_link(),
            Fault::KilledBeforeAppend
            | Fault::KilledInAppend
            | Fault::KilledAfterAppend
            | Fault::KilledInSnapshot
            | Fault::FailedSync => {
                self.armed.insert(fault);
            }
            Fault::KilledInRecovery => {
                self.armed.insert(fault);
                self.kill_front(500);
            }
            Fault::KilledTwice => {
                self.faults.count(fault);
                self.armed.insert(Fault::KilledInRecovery);
                self.kill_front(500);
            }
            Fault::SecondServer => self.start_beside(),
            Fault::PowerCut => self.cut_power(),
            Fault::DiskFull => {
                self.disk.fill();
                let until = self.dice.ms(20_000, 4 * MINUTE_MS);
                self.after(until, Event::Relent { fault });
            }
            Fault::BitFlip | Fault::TailCut => self.damage(fault),
            Fault::ClockForward | Fault::ClockBackward | Fault::ClockStill => self.turn_clock(fault),
            Fault::Outage => self.outage(),
            _ => {}
        }
    }

    pub(super) fn relent(&mut self, fault: Fault) {
        match fault {
            Fault::DiskFull => self.disk.free(),
            Fault::NodeFull | Fault::CapacityShrunk => self.install(Arc::clone(&self.whole_fleet)),
            _ => {}
        }
    }

    fn some_node(&mut self) -> Option<EdgeNodeId> {
        let fleet = Arc::clone(&self.whole_fleet);
        self.dice.pick(&fleet.nodes).map(|node| node.id.clone())
    }

    fn host_of_node(&self, node: &EdgeNodeId) -> Option<usize> {
        let engine = &self.whole_fleet.node(node.as_str())?.engine;
        self.host_of.get(engine).copied()
    }

    fn lose_node(&mut self, fault: Fault, shortest_ms: i64, longest_ms: i64) {
        let Some(node) = self.some_node() else { return };
        let until = self.now.plus_ms(self.dice.ms(shortest_ms, longest_ms));
        self.faults.count(fault);
        self.cut_off.insert(node.clone(), until);
        self.tell_cut_off(&node);
    }

    fn tell_cut_off(&mut self, node: &EdgeNodeId) {
        let Some(host) = self.host_of_node(node) else { return };
        let now = self.now;
        self.cut_off.retain(|_, until| *until > now);
        let fleet = &self.whole_fleet;
        let engine = fleet.node(node.as_str()).map(|node| &node.engine);
        let of_host: BTreeMap<EdgeNodeId, Moment> = self
            .cut_off
            .iter()
            .filter(|(node, _)| fleet.node(node.as_str()).map(|node| &node.engine) == engine)
            .map(|(node, until)| (node.clone(), *until))
            .collect();
        self.with_host(host, |host, around| host.cut_off(&of_host, around));
        self.wake_host(host, self.now.plus_ms(1));
    }

    fn reboot_node(&mut self, fault: Fault) {
        let Some(node) = self.some_node() else { return };
        let Some(host) = self.host_of_node(&node) else { return };
        self.faults.count(fault);
        self.with_host(host, |host, around| host.reboot(&node, around));
        self.wake_host(host, self.now.plus_ms(1));
    }

    /// The operator puts another fleet in force: one node has a part of its room, or none.
    fn refit(&mut self, fault: Fault, parts: u32) {
        let Some(index) = self.dice.index(self.whole_fleet.nodes.len()) else { return };
        let mut fleet = Fleet::clone(&self.whole_fleet);
        let capacity = &mut fleet.nodes[index].capacity;
        capacity.vcpu = capacity.vcpu.checked_div(parts).unwrap_or(0);
        capacity.memory_mib = capacity.memory_mib.checked_div(u64::from(parts)).unwrap_or(0);
        self.faults.count(fault);
        self.install(Arc::new(fleet));
        let until = self.dice.ms(MINUTE_MS, 15 * MINUTE_MS);
        self.after(until, Event::Relent { fault });
    }

    fn install(&mut self, fleet: Arc<Fleet>) {
        let Some(incarnation) = self.front().map(|(incarnation, _)| incarnation) else { return };
        if let Some(server) = self.servers.get_mut(&incarnation) {
            server.take(Arrival::Fleet(fleet));
        }
        self.call(incarnation);
    }

    fn cut_link(&mut self) {
        let Some(host) = self.dice.index(self.hosts.len()) else { return };
        let way = if self.dice.happens(500) { Way::ToHost } else { Way::ToServer };
        let until = self.now.plus_ms(self.dice.ms(1_000, 5 * MINUTE_MS));
        self.faults.count(Fault::LinkOneWay);
        self.link.cut(host, way, until);
    }

    fn kill_front(&mut self, boots_after_ms: i64) {
        if let Some(incarnation) = self.front().map(|(incarnation, _)| incarnation) {
            self.kill(incarnation, boots_after_ms);
        }
    }

    /// The process is stopped by a signal; somebody takes it for dead and starts another.
    fn start_beside(&mut self) {
        if self.is_booting || self.servers.len() != 1 {
            return;
        }
        let until = self.now.plus_ms(self.dice.ms(2_000, 2 * MINUTE_MS));
        if let Some(mut server) = self.servers.last_entry() {
            server.get_mut().asleep_until = Some(until);
            self.faults.count(Fault::SecondServer);
            self.boot_after(100);
        }
    }

    /// The machine of the server loses power.
    fn cut_power(&mut self) {
        self.faults.count(Fault::PowerCut);
        while let Some((incarnation, _)) = self.front() {
            self.kill(incarnation, 5_000);
        }
        self.disk.cut_power(&mut self.dice);
    }

    /// Somebody or something changes bytes while no server runs.
    fn damage(&mut self, fault: Fault) {
        if self.is_booting || self.disk.is_damaged() {
            return;
        }
        while let Some((incarnation, _)) = self.front() {
            self.kill(incarnation, 3_000);
        }
        let is_damaged = match fault {
            Fault::BitFlip => self.disk.flip_bit(&mut self.dice),
            _ if self.dice.happens(300) => self.disk.replace_last(of_another_log),
            _ => self.disk.cut_tail(&mut self.dice),
        };
        if is_damaged {
            self.faults.count(fault);
        }
    }

    fn turn_clock(&mut self, fault: Fault) {
        self.faults.count(fault);
        match fault {
            Fault::ClockForward => self.clock.jump(self.dice.ms(1_000, 2 * 24 * 60 * MINUTE_MS)),
            Fault::ClockBackward => self.clock.jump(-self.dice.ms(1_000, 2 * 24 * 60 * MINUTE_MS)),
            _ => {
                let until = self.now.plus_ms(self.dice.ms(MINUTE_MS, 30 * MINUTE_MS));
                self.clock.stop(self.now, until);
            }
        }
    }

    /// Nobody starts the server again for a week; what time that takes is not the run's.
    fn outage(&mut self) {
        if self.is_booting || self.servers.len() != 1 {
            return;
        }
        self.faults.count(Fault::Outage);
        self.kill_front(WEEK_MS);
    }

    /// Faults and clients stop; whatever still stands in the way is put right.
    pub(super) fn calm(&mut self) {
        if self.is_booting && self.servers.is_empty() && !self.faults.is_calm() {
            // It is down for longer: wait until it is up.
            self.after(10 * MINUTE_MS, Event::Calm);
            return;
        }
        self.trace.say(self.now, || "faults stop".to_owned());
        self.faults.stop();
        self.armed.clear();
        self.link.mend();
        self.disk.free();
        self.cut_off.clear();
        for incarnation in self.servers.keys().copied().collect::<Vec<_>>() {
            if let Some(server) = self.servers.get_mut(&incarnation) {
                server.asleep_until = None;
                server.couriers.iter_mut().for_each(|courier| courier.failures = 0);
            }
            self.call(incarnation);
        }
        if self.servers.is_empty() {
            self.boot_after(0);
        }
        self.install(Arc::clone(&self.whole_fleet));
        for host in 0..self.hosts.len() {
            self.with_host(host, |host, around| host.cut_off(&BTreeMap::new(), around));
            self.wake_host(host, self.now.plus_ms(1));
        }
        self.after(self.calm_ms, Event::Judge);
    }
}

/// What a record would be in a log that went another way before it.
fn of_another_log(record: &[u8]) -> Option<Vec<u8>> {
    let Record { entry, before, .. } = format::inspect(record, 0).ok()?;
    let elsewhere = Chain::default();
    (before != elsewhere).then(|| format::encode(&entry, &elsewhere).0)
}
