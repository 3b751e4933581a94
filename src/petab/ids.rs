//! Rows of a table that define something, found again by identifier.

use super::error::{Fault, PetabError, Place, known_ids};
use super::table::{Column, Row, Subject};
use std::collections::HashMap;

/// Something that one row of a table defines.
pub(super) trait Defined {
    fn id(&self) -> &str;
    fn place(&self) -> &Place;
}

macro_rules! defined {
    ($($type:ty),*) => {$(
        impl Defined for $type {
            fn id(&self) -> &str {
                &self.id
            }
            fn place(&self) -> &Place {
                &self.place
            }
        }
    )*};
}

defined!(super::Parameter, super::Observable, super::Condition, super::Experiment, super::Mapping);

/// Definitions in the order of their tables, with unique identifiers.
#[derive(Debug)]
pub(super) struct Ids<T> {
    pub items: Vec<T>,
    by_id: HashMap<String, usize>,
    /// The column that defines the identifiers.
    column: &'static str,
    /// What they identify, in words.
    kind: &'static str,
}

impl<T: Defined> Ids<T> {
    pub(super) fn new(column: &'static str, kind: &'static str) -> Self {
        Self { items: Vec::new(), by_id: HashMap::new(), column, kind }
    }

    /// Adds what `row` defines.
    ///
    /// # Errors
    /// An identifier that is taken.
    pub(super) fn insert(&mut self, row: Row<'_>, item: T) -> Result<(), PetabError> {
        if let Some(first) = self.get(item.id()) {
            let (id, first) = (item.id().to_owned(), first.place().clone());
            let subject = Subject(self.kind, item.id());
            return Err(row.fail(subject, self.column, Fault::Duplicate { id, first }));
        }
        self.push(item);
        Ok(())
    }

    /// Adds an item whose identifier is known to be free.
    pub(super) fn push(&mut self, item: T) -> usize {
        let position = self.items.len();
        self.by_id.insert(item.id().to_owned(), position);
        self.items.push(item);
        position
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.position(id).map(|position| &self.items[position])
    }

    /// Position of what a cell refers to.
    ///
    /// # Errors
    /// An identifier that is not defined; lists those that are.
    pub(super) fn resolve(
        &self,
        row: Row<'_>,
        column: Column,
        subject: Subject<'_>,
        id: &str,
    ) -> Result<usize, PetabError> {
        self.position(id).ok_or_else(|| {
            let known = known_ids(self.kind, self.items.iter().map(Defined::id));
            let fault = Fault::Unknown { kind: self.kind, id: id.to_owned(), known };
            row.fail(subject, column.name, fault)
        })
    }
}
