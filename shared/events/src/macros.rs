//! The one place where an event is declared: enum, wire name, version, upcasters, catalogue line.

/// What the catalogue says of one event type.
#[derive(Clone)]
pub struct TypeInfo {
    /// Wire name, `noun.past_tense`.
    pub name: &'static str,
    /// The version that is written now.
    pub version: u16,
    /// Category of the streams that hold it.
    pub category: crate::Category,
    /// Older versions that are still read.
    pub reads: &'static [u16],
    /// JSON Schema of the current version.
    pub schema: fn() -> schemars::Schema,
}

/// Why a stored event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Neither the current nor an older version of any type.
    #[error("no event `{name}` of version {version} is known")]
    Unknown {
        /// Wire name.
        name: String,
        /// Version.
        version: u16,
    },
    /// Known, but the data does not have its shape.
    #[error("event `{name}` of version {version} does not have its shape")]
    Shape {
        /// Wire name.
        name: String,
        /// Version.
        version: u16,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
}

/// Declares an enum of events. See `docs/guides/add-an-event.md`.
macro_rules! events {
    (
        $(#[$doc:meta])* $enum:ident in $category:expr;
        $( $variant:ident($ty:ty) = $name:literal, v $v:literal $(, from { $( $old:literal => $oldty:ty ),+ })? ; )*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $enum { $( $variant($ty), )* }

        impl $enum {
            /// Category of the streams that hold these events.
            pub const CATEGORY: crate::Category = $category;
            /// Wire name.
            pub fn type_name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }
            /// The version that is written now.
            pub fn schema_version(&self) -> u16 {
                match self { $( Self::$variant(_) => $v, )* }
            }
            /// The data as JSON text.
            ///
            /// # Errors
            /// Only if a map key is not text, which no event has.
            pub fn encode(&self) -> Result<String, serde_json::Error> {
                match self { $( Self::$variant(data) => serde_json::to_string(data), )* }
            }
            /// Reads any version ever written, upcast to the current one.
            ///
            /// # Errors
            /// [`crate::DecodeError`] if the type is unknown or the data has another shape.
            pub fn decode(name: &str, version: u16, data: &str) -> Result<Self, crate::DecodeError> {
                let shape = |source| crate::DecodeError::Shape { name: name.to_owned(), version, source };
                match (name, version) {
                    $(
                        ($name, $v) => serde_json::from_str::<$ty>(data).map(Self::$variant).map_err(shape),
                        $( $( ($name, $old) => serde_json::from_str::<$oldty>(data)
                            .map(|old| Self::$variant(<$ty>::from(old))).map_err(shape), )+ )?
                    )*
                    _ => Err(crate::DecodeError::Unknown { name: name.to_owned(), version }),
                }
            }
            /// One line a type, in order of declaration.
            pub fn catalogue() -> Vec<crate::TypeInfo> {
                vec![ $( crate::TypeInfo {
                    name: $name,
                    version: $v,
                    category: $category,
                    reads: &[ $( $( $old ),+ )? ],
                    schema: || schemars::schema_for!($ty),
                }, )* ]
            }
        }
    };
}
pub(crate) use events;
