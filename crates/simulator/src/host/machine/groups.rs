//! The control groups of a simulated machine: one for each instance, in it one for each container, and who is in them.
//! Names and members only: who dies of a kill is up to the processes.

use super::processes::ProcessKey;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Result};

/// The groups of one instance's containers, and who is in each.
type Containers = BTreeMap<String, BTreeSet<ProcessKey>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    instances: BTreeMap<String, Containers>,
    of: BTreeMap<ProcessKey, (String, String)>,
}

impl Groups {
    pub(crate) fn instances(&self) -> impl Iterator<Item = &str> {
        self.instances.keys().map(String::as_str)
    }

    pub(crate) fn has_instance(&self, instance: &str) -> bool {
        self.instances.contains_key(instance)
    }

    /// Making it twice is no error.
    pub(crate) fn make_instance(&mut self, instance: &str) {
        if !self.instances.contains_key(instance) {
            self.instances.insert(instance.to_owned(), Containers::new());
        }
    }

    /// Puts a process into a container's group, which is made if it is missing.
    ///
    /// # Errors
    /// The instance has no group.
    pub(crate) fn enter(&mut self, instance: &str, container: &str, process: ProcessKey) -> Result<()> {
        let containers = self.instances.get_mut(instance).ok_or(ErrorKind::NotFound)?;
        containers.entry(container.to_owned()).or_default().insert(process);
        self.of.insert(process, (instance.to_owned(), container.to_owned()));
        Ok(())
    }

    /// A process has ended.
    pub(crate) fn leave(&mut self, process: ProcessKey) {
        if let Some((instance, container)) = self.of.remove(&process)
            && let Some(members) =
                self.instances.get_mut(&instance).and_then(|containers| containers.get_mut(&container))
        {
            members.remove(&process);
        }
    }

    /// Who is in a container's group; nobody when there is none.
    pub(crate) fn members(&self, instance: &str, container: &str) -> Vec<ProcessKey> {
        let containers = self.instances.get(instance);
        let members = containers.and_then(|containers| containers.get(container));
        members.into_iter().flatten().copied().collect()
    }

    /// Who is in any group of an instance.
    pub(crate) fn members_of_instance(&self, instance: &str) -> Vec<ProcessKey> {
        self.instances.get(instance).into_iter().flat_map(BTreeMap::values).flatten().copied().collect()
    }

    /// Removes a container's group. One that is not there is no error.
    ///
    /// # Errors
    /// Somebody is in it.
    pub(crate) fn remove_container(&mut self, instance: &str, container: &str) -> Result<()> {
        if !self.members(instance, container).is_empty() {
            return Err(ErrorKind::ResourceBusy.into());
        }
        if let Some(containers) = self.instances.get_mut(instance) {
            containers.remove(container);
        }
        Ok(())
    }

    /// Removes an instance's group and those in it. One that is not there is no error.
    ///
    /// # Errors
    /// Somebody is in one of them.
    pub(crate) fn remove_instance(&mut self, instance: &str) -> Result<()> {
        if !self.members_of_instance(instance).is_empty() {
            return Err(ErrorKind::ResourceBusy.into());
        }
        self.instances.remove(instance);
        Ok(())
    }

    /// Where a process is.
    pub(crate) fn of(&self, process: ProcessKey) -> Option<&(String, String)> {
        self.of.get(&process)
    }

    /// Groups of containers that nobody is in.
    pub(crate) fn empty_containers(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.instances.iter().flat_map(|(instance, containers)| {
            containers.iter().map(move |(container, members)| (instance, container, members))
        });
        let empty = all.filter(|(_, _, members)| members.is_empty());
        empty.map(|(instance, container, _)| (instance.as_str(), container.as_str()))
    }

    pub(crate) fn reboot(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::processes::{Processes, Role};
    use super::*;

    #[test]
    fn a_group_with_somebody_in_it_cannot_be_removed() {
        let process = Processes::new().spawn(Role::Program, None, 0);
        let mut groups = Groups::default();
        groups.make_instance("i-a");
        groups.enter("i-a", "web.0.main", process).unwrap();

        assert!(groups.remove_container("i-a", "web.0.main").is_err());
        assert!(groups.remove_instance("i-a").is_err());

        groups.leave(process);
        assert_eq!(groups.empty_containers().count(), 1, "an empty group stays");
        groups.remove_container("i-a", "web.0.main").unwrap();
        groups.remove_instance("i-a").unwrap();
        assert!(!groups.has_instance("i-a"));
    }

    #[test]
    fn nobody_enters_a_container_of_an_instance_without_a_group() {
        let process = Processes::new().spawn(Role::Program, None, 0);
        let mut groups = Groups::default();

        assert_eq!(groups.enter("i-a", "web.0.main", process).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let mut groups = Groups::default();

        groups.remove_container("i-a", "x").unwrap();
        groups.remove_instance("i-a").unwrap();
    }
}
