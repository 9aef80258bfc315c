"""Names of the protos in refusals, as each language has them; to programs they stay what they are."""

from __future__ import annotations

from services.chassis.decider import Words

_ROLES = {
    "public": ("bất kỳ ai", "anybody"),
    "citizen": ("công dân", "citizen"),
    "organisation": ("tổ chức", "organisation"),
    "receptionist": ("công chức một cửa", "receptionist"),
    "processor": ("cán bộ xử lý", "processor"),
    "approver": ("người có thẩm quyền ký", "approver"),
    "cashier": ("thu ngân", "cashier"),
    "editor": ("cán bộ quản lý danh mục", "editor"),
    "administrator": ("quản trị viên", "administrator"),
    "system": ("hệ thống khác", "system"),
    "service": ("dịch vụ của nền tảng", "service"),
}
_CHANNELS = {
    "COUNTER": ("tại quầy", "at the counter"),
    "ONLINE": ("trực tuyến", "online"),
    "POST": ("bưu chính", "by post"),
}
_SYSTEMS = {
    "event store": ("kho sự kiện", "event store"),
    "blob store": ("kho tệp", "blob store"),
    "database": ("cơ sở dữ liệu", "database"),
    "population database": ("cơ sở dữ liệu quốc gia về dân cư", "population database"),
    "identity": ("dịch vụ định danh", "identity"),
}
_KINDS = {
    "citizen": ("công dân", "citizen"),
    "organisation": ("tổ chức", "organisation"),
    "PROGRESS": ("tiến độ", "progress"),
    "ACTION": ("việc cần làm", "what is to be done"),
    "FEE": ("phí, lệ phí", "fees"),
    "DELAY": ("chậm hẹn", "delay"),
    "OUTCOME": ("kết quả", "outcome"),
}
_LEVELS = {
    "CENTRAL": ("trung ương", "central"),
    "PROVINCE": ("tỉnh", "province"),
    "COMMUNE": ("xã", "commune"),
}
# By the fact's name.
_KNOWN = {
    "role": _ROLES,
    "roles": _ROLES,
    "channel": _CHANNELS,
    "system": _SYSTEMS,
    "kind": _KINDS,
    "level": _LEVELS,
}


def said(fact: str, value: str, language: str) -> str:
    """The value, or the names in it that are known by another word."""
    if isinstance(value, Words):
        return value.vi if language == "vi" else value.en
    known = _KNOWN.get(fact, {})
    each = [known.get(name, (name, name)) for name in value.split(", ")]
    return ", ".join(vi if language == "vi" else en for vi, en in each)
