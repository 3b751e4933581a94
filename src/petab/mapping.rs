//! The mapping table (v2): PEtab identifiers for model entities whose own are none.

use super::Ids;
use super::error::{Fault, PetabError, Place};
use super::table::{Subject, Table, is_identifier};

/// A row of the mapping table.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// `petabEntityId`.
    pub id: String,
    /// The entity's name in the model, such as `reaction.localParameter`; none where the row
    /// only annotates.
    pub model_entity: Option<String>,
    /// For people only.
    pub name: Option<String>,
    pub place: Place,
}

const KIND: &str = "mapping";

/// Reads the mapping tables in order.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(tables: &[Table]) -> Result<Ids<Mapping>, PetabError> {
    let mut mappings = Ids::new("petabEntityId", KIND);
    for table in tables {
        let [id_column, model_column] = table.required(["petabEntityId", "modelEntityId"])?;
        let name_column = table.column("name");
        for row in table.rows() {
            let id = row.id(id_column, KIND)?;
            let model_entity = row.get(model_column);
            if let Some(entity) = model_entity.filter(|e| *e != id && is_identifier(e)) {
                let fault = Fault::Alias { entity: entity.to_owned() };
                return Err(row.fail(Subject(KIND, id), model_column.name, fault));
            }
            let mapping = Mapping {
                id: id.to_owned(),
                model_entity: model_entity.map(str::to_owned),
                name: row.get(name_column).map(str::to_owned),
                place: row.place(),
            };
            mappings.insert(row, mapping)?;
        }
    }
    Ok(mappings)
}
