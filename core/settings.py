"""The settings: one file, `config.yaml`, read and checked here. The environment overrides secrets only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from core import yamlfile
from core.payload import PayloadMapping
from core.schema import Declared, Key, Span, WireId

Port = Annotated[int, Field(ge=1, le=65_535)]

#: Environment variable → the key of `config.yaml` that it overrides. Secrets only.
SECRETS = {
    "CITYOPS_DATABASE_URL": ("database", "url"),
    "CITYOPS_MQTT_PASSWORD": ("mqtt", "password"),
    "CITYOPS_SECRET_KEY": ("web", "secret_key"),
}


class City(Declared):
    name_zh: str = "示范城市"
    name_en: str = "Sample City"
    timezone: str = "Asia/Shanghai"
    language: Literal["zh", "en"] = "zh"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be a time zone of the IANA list, such as Asia/Shanghai") from None
        return value


class Paths(Declared):
    data: Path = Path("var")
    domains: Path = Path("domains")


class DatabaseSettings(Declared):
    url: SecretStr = SecretStr("embedded")
    timescale: Literal["auto", "require", "off"] = "auto"
    pool: Annotated[int, Field(ge=2, le=100)] = 8

    @field_validator("url")
    @classmethod
    def _url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url != "embedded" and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be `embedded` or postgresql://user@host:port/name")
        return value

    @property
    def embedded(self) -> bool:
        return self.url.get_secret_value() == "embedded"


class MqttSettings(Declared):
    mode: Literal["embedded", "external"] = "embedded"
    bind: str = "127.0.0.1"
    port: Port = 1883
    host: str = "127.0.0.1"
    username: str = ""
    password: SecretStr = SecretStr("")
    client_id: str = "cityops-worker"
    max_packet_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    receive_maximum: Annotated[int, Field(ge=20, le=65_535)] = 2000
    messages_per_s: Annotated[float, Field(ge=0)] = 0.0
    bytes_per_s: Annotated[float, Field(ge=0)] = 0.0
    tls_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    shared: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,32}$")] = ""

    @model_validator(mode="after")
    def _tls(self) -> MqttSettings:
        if self.tls_port and not (self.tls_certificate and self.tls_key):
            raise ValueError("tls_port needs tls_certificate and tls_key")
        return self


class TcpSettings(Declared):
    """Ports of the field protocols; 0 = closed. Their devices stand under the gateway of the protocol's name."""

    bind: str = "127.0.0.1"
    hj212: Annotated[int, Field(ge=0, le=65_535)] = 0
    gbt26875: Annotated[int, Field(ge=0, le=65_535)] = 0
    sl651: Annotated[int, Field(ge=0, le=65_535)] = 0

    @property
    def ports(self) -> dict[str, int]:
        """Protocol → port, of those that are open."""
        found = {"hj212": self.hj212, "gbt26875": self.gbt26875, "sl651": self.sl651}
        return {name: port for name, port in found.items() if port}


class WebSettings(Declared):
    bind: str = "127.0.0.1"
    port: Port = 8050
    secret_key: SecretStr = SecretStr("")
    session: Span = 12 * 3600.0
    allowed_origins: list[str] = []


class Push(Declared):
    """A platform that posts what its devices said to `/api/v1/push/<name>`; `check` is how it proves that it is it.

    token   `?token=` of the address, or a bearer token: CTWing and IoTDA, whose pushes carry no signature
    onenet  OneNET's nonce and signature with the token of its configuration page
    hmac    header `X-Signature`: hexadecimal HMAC-SHA256 of the body
    """

    name: Key
    gateway: WireId
    mapping: Key
    check: Literal["token", "onenet", "hmac"]
    secret: Annotated[SecretStr, Field(min_length=16)]


class IngestSettings(Declared):
    batch_rows: Annotated[int, Field(ge=100, le=100_000)] = 20_000
    late_after: Span = 600.0
    future_after: Span = 300.0
    refuse_future: Span = 86_400.0
    refuse_older: Span = 30 * 86_400.0
    spool_bytes: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    queue_readings: Annotated[int, Field(ge=1000)] = 200_000
    mappings: list[PayloadMapping] = []
    pushes: list[Push] = []

    @model_validator(mode="after")
    def _pushes(self) -> IngestSettings:
        for key, names in (
            ("mappings", [m.name for m in self.mappings]),
            ("pushes", [p.name for p in self.pushes]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {key} have one name")
        strange = {push.mapping for push in self.pushes} - {mapping.name for mapping in self.mappings}
        if strange:
            raise ValueError(f"no mapping is named {', '.join(sorted(strange))}")
        return self


class StoreSettings(Declared):
    keep_readings: Span = 400 * 86_400.0
    partition: Span = 86_400.0
    compress_after: Span = 7 * 86_400.0
    keep_batch_log: Span = 3600.0
    keep_dead_letters: Span = 90 * 86_400.0


class EngineSettings(Declared):
    snapshot_every: Span = 10.0
    silence_grace: Span = 120.0
    incident_linger: Span = 600.0


class Webhook(Declared):
    """A receiver outside: messages whose contact names it are posted there, signed with its secret."""

    name: Key
    url: str
    secret: SecretStr

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value


class HttpGateway(Declared):
    """A gateway that takes `{"to", "text", "key"}` by POST: for short messages, or for calls that are spoken."""

    url: str
    token: SecretStr = SecretStr("")


class Mail(Declared):
    """A mail server."""

    host: str
    port: Port = 587
    sender: str
    user: str = ""
    password: SecretStr = SecretStr("")
    starttls: bool = True


class ChannelSettings(Declared):
    """Ways out of the house. What is not set up does not exist: its messages are parked, visibly."""

    webhooks: list[Webhook] = []
    sms: HttpGateway | None = None
    voice: HttpGateway | None = None
    mail: Mail | None = None
    #: Where this installation is reached from outside, for links in messages; empty: no links.
    link_base: str = ""
    timeout: Span = 10.0


class DispatchSettings(Declared):
    auto: bool = True
    auto_per_hour: Annotated[int, Field(ge=0, le=1000)] = 30
    observation_at_most: Span = 86_400.0
    accept_within: Span = 120.0
    position_max_age: Span = 900.0
    channels: ChannelSettings = ChannelSettings()


class LogSettings(Declared):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(Declared):
    """Every key of `config.yaml`; each has its comment, unit, range and default there."""

    city: City = City()
    paths: Paths = Paths()
    database: DatabaseSettings = DatabaseSettings()
    mqtt: MqttSettings = MqttSettings()
    tcp: TcpSettings = TcpSettings()
    web: WebSettings = WebSettings()
    ingest: IngestSettings = IngestSettings()
    store: StoreSettings = StoreSettings()
    engine: EngineSettings = EngineSettings()
    dispatch: DispatchSettings = DispatchSettings()
    scene: Literal["both", "recorded", "simulated", "off"] = "both"
    log: LogSettings = LogSettings()

    #: Folder of the file these came from; relative paths are relative to it.
    home: Path = Field(default=Path(), exclude=True)

    @property
    def own_city(self) -> bool:
        """A real city is what was imported of it; a demonstration plays in the sample city."""
        return self.scene == "off"

    @model_validator(mode="after")
    def _ports(self) -> Settings:
        taken: dict[int, str] = {}
        for key, _, port in self.listening:
            if port in taken:
                raise ValueError(f"{key} and {taken[port]} are both {port}; they must differ")
            taken[port] = key
        return self

    @property
    def listening(self) -> list[tuple[str, str, int]]:
        """(key, address, port) of all that the roles listen on."""
        found = [("web.port", self.web.bind, self.web.port)]
        if self.mqtt.mode == "embedded":
            found.append(("mqtt.port", self.mqtt.bind, self.mqtt.port))
            if self.mqtt.tls_port:
                found.append(("mqtt.tls_port", self.mqtt.bind, self.mqtt.tls_port))
        return found + [(f"tcp.{name}", self.tcp.bind, port) for name, port in self.tcp.ports.items()]

    @property
    def data(self) -> Path:
        return self.home / self.paths.data

    @property
    def domains(self) -> Path:
        return self.home / self.paths.domains

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.city.timezone)


def load(path: Path) -> Settings:
    """Read and check a settings file. Raises `core.yamlfile.Mistakes` with every mistake at once."""
    document = yamlfile.read(path, path.name)
    if document.data is None:
        document = yamlfile.Document(document.file, {}, document.lines)
    data = document.data
    if isinstance(data, dict):
        data.pop("home", None)
        for variable, (section, key) in SECRETS.items():
            if variable in os.environ:  # noqa: TID251 - the one place that reads the environment
                part = data.setdefault(section, {})
                if isinstance(part, dict):
                    part[key] = os.environ[variable]  # noqa: TID251 - see above
    settings = yamlfile.parse(document, Settings)
    return settings.model_copy(update={"home": path.resolve().parent})
