//! Service discovery (XEP-0030), and the forms that extend it (XEP-0128).

/// The service discovery information of an entity (XEP-0030, section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disco {
    /// The identities of the entity.
    pub identities: Vec<Identity>,
    /// The features of the entity.
    pub features: Vec<String>,
    /// The extended information of the entity (XEP-0128).
    pub forms: Vec<Form>,
}

/// A data form of the type `result` (XEP-0004).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// The subject of the form: the value of its hidden field `FORM_TYPE` (XEP-0068).
    pub form_type: Option<String>,
    /// The fields that have a name, `FORM_TYPE` included.
    pub fields: Vec<Field>,
}

/// A field of a data form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// The name of the field.
    pub var: String,
    /// The type of the field, if it has one.
    pub kind: Option<String>,
    /// The values of the field.
    pub values: Vec<String>,
}

/// An identity of an entity (XEP-0030, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub struct Identity {
    pub category: String,
    pub kind: String,
    pub name: Option<String>,
    pub lang: Option<String>,
}
