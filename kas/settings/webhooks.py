"""The section ``webhooks``: who may tell kas of a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kas.settings.section import Section
from kas.settings.values import File

if TYPE_CHECKING:
    from pathlib import Path


class GitLabWebhookSettings(Section):
    """Push and tag events of GitLab, at /webhooks/gitlab."""

    secret_token_file: File | None = Field(
        default=None, description="File with the secret token that GitLab sends; null refuses its webhooks."
    )


class GitHubWebhookSettings(Section):
    """Push, create and delete events of GitHub, at /webhooks/github."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that GitHub signs with; null refuses its webhooks."
    )


class GiteaWebhookSettings(Section):
    """Push, create and delete events of Gitea and Forgejo, at /webhooks/gitea."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that Gitea signs with; null refuses its webhooks."
    )


class GogsWebhookSettings(Section):
    """Push, create and delete events of Gogs, at /webhooks/gogs."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that Gogs signs with; null refuses its webhooks."
    )


class BitbucketWebhookSettings(Section):
    """Push events of Bitbucket Cloud and of Bitbucket Server and Data Center, at /webhooks/bitbucket."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that Bitbucket signs with; null refuses its webhooks."
    )


class AzureWebhookSettings(Section):
    """Code pushed events of Azure DevOps, at /webhooks/azure, with the secret in the HTTP header `X-Kas-Token`."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that the header holds; null refuses these webhooks."
    )


class GenericWebhookSettings(Section):
    """Any other Git server, at /webhooks/generic: `{"project": "group/name"}`, signed in `X-Signature-256`."""

    secret_file: File | None = Field(
        default=None, description="File with the secret that bodies are signed with; null refuses these webhooks."
    )


class WebhookSettings(Section):
    """What tells kas of a push at once."""

    gitlab: GitLabWebhookSettings = Field(default=GitLabWebhookSettings(), description=GitLabWebhookSettings.__doc__)
    github: GitHubWebhookSettings = Field(default=GitHubWebhookSettings(), description=GitHubWebhookSettings.__doc__)
    gitea: GiteaWebhookSettings = Field(default=GiteaWebhookSettings(), description=GiteaWebhookSettings.__doc__)
    gogs: GogsWebhookSettings = Field(default=GogsWebhookSettings(), description=GogsWebhookSettings.__doc__)
    bitbucket: BitbucketWebhookSettings = Field(
        default=BitbucketWebhookSettings(), description=BitbucketWebhookSettings.__doc__
    )
    azure: AzureWebhookSettings = Field(default=AzureWebhookSettings(), description=AzureWebhookSettings.__doc__)
    generic: GenericWebhookSettings = Field(
        default=GenericWebhookSettings(), description=GenericWebhookSettings.__doc__
    )

    @property
    def secret_files(self) -> dict[str, Path]:
        """Return the configured files by who sends."""
        files = {
            "gitlab": self.gitlab.secret_token_file,
            "github": self.github.secret_file,
            "gitea": self.gitea.secret_file,
            "gogs": self.gogs.secret_file,
            "bitbucket": self.bitbucket.secret_file,
            "azure": self.azure.secret_file,
            "generic": self.generic.secret_file,
        }
        return {sender: path for sender, path in files.items() if path is not None}
