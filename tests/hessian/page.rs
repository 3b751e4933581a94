//! Pages read as XML.

/// Runs `check` on a page as XML.
pub fn parsed(page: &str, check: impl Fn(&roxmltree::Document<'_>)) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    check(&roxmltree::Document::parse_with_options(page, options).unwrap());
}

/// The elements of a name, SVG or HTML.
pub fn elements<'a, 'b>(
    document: &'a roxmltree::Document<'b>,
    name: &'static str,
) -> impl Iterator<Item = roxmltree::Node<'a, 'b>> {
    document.descendants().filter(move |n| n.is_element() && n.tag_name().name() == name)
}

pub fn text_of(node: roxmltree::Node<'_, '_>) -> String {
    node.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect()
}
