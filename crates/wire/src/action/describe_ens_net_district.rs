//! DescribeEnsNetDistrict: the districts in which there are edge nodes (ens-api.md §7.1). All values are strings.
//! `NetDistrictCodeNode`, which only SDKs of today know, is left out: what it means is not published.
//! What to ask for is the same for DescribeEnsNetSaleDistrict, which shares the parameters and the request.

use super::{BOTH, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeEnsNetDistrict",
    title: "List districts",
    summary: "Lists the districts of a level, or those right under a district, in which there are edge nodes.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeEnsNetDistrict",
    access: Access::Get,
    parameters: &[NET_LEVEL_CODE, net_district_code("100106")],
    response: &[
        Member::integer("Code", "0"),
        Member::object("EnsNetDistricts", &[Member::list("EnsNetDistrict", &Schema::Object(DISTRICT))]),
        Member::text("RequestId", "F3B261DD-3858-4D3C-877D-303ADF374600"),
    ],
    errors: PublishedError::OF_DISTRICTS,
    example: r#"{"Code":0,"EnsNetDistricts":{"EnsNetDistrict":[{"EnsRegionIdCount":"2","NetDistrictCode":"100106","NetDistrictEnName":"southWest","NetDistrictFatherCode":"100000","NetDistrictLevel":"Big","NetDistrictName":"西南"}]},"RequestId":"F3B261DD-3858-4D3C-877D-303ADF374600"}"#,
};

pub(super) const NET_LEVEL_CODE: Parameter =
    Parameter::choice("NetLevelCode", &["Big", "Middle", "Small"], "Big")
        .about("The level whose districts are shown: area, province or city.")
        .required();

pub(super) const fn net_district_code(example: &'static str) -> Parameter {
    Parameter::text("NetDistrictCode", example)
        .about("Only the districts right under this one, whatever the level; all of the level by default.")
}

const DISTRICT: &[Member] = &[
    Member::text("EnsRegionIdCount", "2"),
    Member::text("NetDistrictCode", "100106"),
    Member::text("NetDistrictEnName", "southWest"),
    Member::text("NetDistrictFatherCode", "100000"),
    Member::text("NetDistrictLevel", "Big"),
    Member::text("NetDistrictName", "西南"),
];

#[derive(Clone, Debug)]
pub struct Request {
    /// `Big`, `Middle` or `Small`.
    pub net_level_code: String,
    pub net_district_code: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            net_level_code: parameters.required("NetLevelCode")?.to_owned(),
            net_district_code: owned(parameters, "NetDistrictCode"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub ens_net_districts: EnsNetDistricts,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetDistricts {
    pub ens_net_district: Vec<EnsNetDistrict>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetDistrict {
    /// How many edge nodes lie in it.
    pub ens_region_id_count: String,
    #[serde(flatten)]
    pub district: District,
}

/// What both actions say of a district.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct District {
    pub net_district_code: String,
    pub net_district_en_name: String,
    pub net_district_father_code: String,
    pub net_district_level: String,
    pub net_district_name: String,
}
