use super::v1::problem;
use super::*;

/// The model of the example.
fn entity(_: usize, id: &str) -> Option<ModelEntity> {
    Some(match id {
        "k1" | "k2" | "dose" => ModelEntity::Parameter,
        "ruled" => ModelEntity::RuledParameter,
        "A" | "B" => ModelEntity::Species,
        "cell" => ModelEntity::Compartment,
        "r1" => ModelEntity::Other,
        _ => return None,
    })
}

#[test]
fn names_against_the_model() {
    check_names(&problem().load(), &entity).unwrap();
    // Read without fault, and at odds with the model.
    let cases = [
        (
            "con.tsv",
            "dose",
            "r1",
            "con.tsv:2: condition `pre`, column `r1`: `r1` is neither a parameter nor a species \
             nor a compartment of the model; expected a parameter, species or compartment of the \
             model, or a symbol of an observable or noise formula",
        ),
        (
            "con.tsv",
            "\tk2",
            "\tk9",
            "con.tsv:3: condition `c0`, column `A`: unknown parameter or model entity `k9`; \
             expected one of fixed, k1, k2, scale",
        ),
        (
            "obs.tsv",
            "\nz\t",
            "\ncell\t1\t1\nz\t",
            "obs.tsv:3: observable `cell`, column `observableId`: `cell` is a compartment of the \
             model; choose another identifier for the observable",
        ),
        (
            "obs.tsv",
            "\nz\t",
            "\nscale\t1\t1\nz\t",
            "obs.tsv:3: observable `scale`, column `observableId`: `scale` is in the parameter \
             table; choose another identifier for the observable",
        ),
        (
            "par.tsv",
            "fixed\tlin",
            "ruled\tlin\t0\t1\t1\t1\nfixed\tlin",
            "par.tsv:5: parameter `ruled`, column `parameterId`: `ruled` is a parameter of the \
             model that a rule determines; expected parameters that no rule determines, and \
             symbols that tables introduce",
        ),
        (
            "par.tsv",
            "fixed\tlin",
            "unused\tlin\t0\t1\t1\t1\nfixed\tlin",
            "par.tsv:5: parameter `unused`, column `parameterId`: `unused` is used nowhere: it \
             is no parameter of the model, and neither formulas nor conditions nor measurements \
             name it; remove the row",
        ),
    ];
    for (file, from, to, expected) in cases {
        let folder = problem().with(file, from, to).write();
        let error = check_names(&load(folder.path()).unwrap(), &entity).unwrap_err().to_string();
        assert_eq!(error.replace(&format!("{}/", folder.path().display()), ""), expected);
    }
}
