"""What one signed-in person works with: the single entry point for screens and HTTP, by area."""

from __future__ import annotations

from services.accounts.account import Account
from services.accounts.auth import BearerUser, SignedInUser
from services.deep_memory.models import Models
from services.deep_memory.own_test_sets import OwnTestSets
from services.deep_memory.reports import Reports
from services.deep_memory.search import Search
from services.deep_memory.vectors import Vectors
from services.knowledge.documents import Documents
from services.pairs.review import Pairs
from services.person import person_of
from services.questions.feedback import Feedback
from services.questions.judging import Judging
from services.questions.kept_searches import KeptSearches
from services.questions.missed import Missed
from services.runs.operations import Runs
from services.studio import Studio


class Workspace:
    """One person's areas. It lives as long as the session or access token it was opened for."""

    def __init__(self, studio: Studio, user: SignedInUser | BearerUser) -> None:
        person = person_of(studio, user)
        self.user = user
        self.account = Account(person)
        self.documents = Documents(person)
        self.runs = Runs(person)
        self.pairs = Pairs(person)
        self.models = Models(person)
        self.test_sets = OwnTestSets(person, self.models)
        self.reports = Reports(person)
        self.judging = Judging(person, self.models, self.test_sets)
        self.search = Search(person, self.models)
        self.vectors = Vectors(person, self.models)
        self.feedback = Feedback(person)
        self.kept_searches = KeptSearches(person)
        self.missed = Missed(person, self.models)
