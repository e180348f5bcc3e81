"""Settings, read once from the environment, `.env` or Streamlit's secrets, checked and frozen."""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from services.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
OFFLINE_WRITER = "offline"
OFFLINE_EMBEDDER = "wordllama"
MINILM = "minilm"  # embeds on this machine too, if requirements-minilm.txt is installed
MOST_QUESTIONS_PER_CHUNK = 10


class Settings(BaseSettings):
    """Everything that can be set. Secrets are `SecretStr`, so that printing one shows asterisks."""

    model_config = SettingsConfigDict(
        env_file=PROJECT_ROOT / ".env",
        toml_file=PROJECT_ROOT / ".streamlit" / "secrets.toml",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    data_dir: Path = PROJECT_ROOT / "data"

    supabase_url: str | None = None
    supabase_publishable_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
    )
    supabase_secret_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
    )

    deeplake_path: str | None = None
    activeloop_token: SecretStr | None = None
    # A different address of DeepLake Cloud: a private deployment, or a stand-in for tests.
    activeloop_endpoint: str | None = None
    deep_memory_trainer: Literal["local", "cloud"] = "local"

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    question_model: str = OFFLINE_WRITER
    embedding_model: str = OFFLINE_EMBEDDER
    # Texts in one request; a server that refuses so many is automatically sent fewer.
    embedding_batch: int = Field(2_048, ge=1, le=2_048)
    # A reranker with Cohere's API: RERANK_URL is what stands before "/rerank" in its address.
    rerank_url: str | None = None
    rerank_model: str | None = None
    rerank_api_key: SecretStr | None = None
    # US dollars per million input and output tokens, as JSON: {"my-model": [0.1, 0.4]}.
    model_prices: dict[str, tuple[NonNegativeFloat, NonNegativeFloat]] = {}
    # What one attempt of a run may spend on questions; no cap if unset.
    run_cost_cap_usd: PositiveFloat | None = None
    questions_per_chunk: int = Field(3, ge=1, le=MOST_QUESTIONS_PER_CHUNK)
    generation_concurrency: int = Field(8, ge=1, le=64)
    # How many trained models of each person are kept on this machine; the one in use always is.
    models_kept: int = Field(20, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            TomlConfigSettingsSource(settings_cls),
        )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()

    @field_validator("supabase_url", "openai_base_url", "activeloop_endpoint", "rerank_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/") if url else None

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_follow_from_others(cls, values: dict[str, Any]) -> dict[str, Any]:
        known = {key.lower() for key, value in values.items() if value}
        values = dict(values)
        if "deep_memory_trainer" not in known and "deeplake_path" in known:
            values["deep_memory_trainer"] = "cloud"
        if known & {"openai_api_key", "openai_base_url"}:
            values.setdefault("question_model", "gpt-4o-mini")
            values.setdefault("embedding_model", "text-embedding-3-small")
        return values

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.supabase_url:
            if not self.supabase_publishable_key:
                raise ValueError("SUPABASE_PUBLISHABLE_KEY is needed when SUPABASE_URL is set")
            if not self.supabase_secret_key:
                raise ValueError("SUPABASE_SECRET_KEY is needed when SUPABASE_URL is set")
        if self.is_cloud and not self.activeloop_token:
            raise ValueError("ACTIVELOOP_TOKEN is needed when DEEPLAKE_PATH begins with hub://")
        needs_openai = {
            "QUESTION_MODEL": self.question_model != OFFLINE_WRITER,
            "EMBEDDING_MODEL": not self.embeds_offline,
        }
        for name, needed in needs_openai.items():
            if needed and not (self.openai_api_key or self.openai_base_url):
                raise ValueError(f"OPENAI_API_KEY is needed for the model that {name} names")
        if bool(self.rerank_url) != bool(self.rerank_model):
            raise ValueError("RERANK_URL and RERANK_MODEL are needed together")
        key = self.rerank_api_key.get_secret_value() if self.rerank_api_key else ""
        if not (key.isascii() and key.isprintable()):  # it could not be sent
            raise ValueError("RERANK_API_KEY has characters that no key has")
        return self

    @cached_property
    def is_cloud(self) -> bool:
        """Whether the vector store lives in DeepLake Cloud."""
        return (self.deeplake_path or "").startswith("hub://")

    @property
    def trains_in_cloud(self) -> bool:
        """Whether DeepLake Cloud trains, which it can do only for a store that lives there."""
        return self.is_cloud and self.deep_memory_trainer == "cloud"

    @property
    def is_embedded(self) -> bool:
        """Whether the app starts its own local Supabase."""
        return self.supabase_url is None

    @property
    def uses_offline_writer(self) -> bool:
        return self.question_model == OFFLINE_WRITER

    @property
    def embeds_offline(self) -> bool:
        return self.embedding_model in (OFFLINE_EMBEDDER, MINILM)


def load_settings(**overrides: Any) -> Settings:
    """Read and check the settings.

    Raises:
        ConfigurationError: a value is missing or wrong; the message names the variable,
            and never repeats the value, which may be a secret.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors())
        raise ConfigurationError(f"The settings are not usable: {problems}.") from None
    except SettingsError as error:
        raise ConfigurationError(f"A setting that must be JSON is not: {error}.") from None
    except tomllib.TOMLDecodeError:
        raise ConfigurationError(".streamlit/secrets.toml is not valid TOML.") from None


def _problem(item: Any) -> str:
    variable = str(item["loc"][0]).upper() if item["loc"] else ""
    reason = str(item["msg"]).removeprefix("Value error, ")
    return f"{variable}: {reason}" if variable else reason
