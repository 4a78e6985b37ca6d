"""How the clinic says no in JSON: problem details as in RFC 9457."""

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_REQUEST = "0198c0de-7a11-7000-8000-00000000beef"


class FieldProblem(BaseModel):
    """One thing wrong with the input. It never repeats what was sent."""

    pointer: str = Field(
        description="JSON pointer into the body, or #/query/…, #/path/…, #/header/… for a parameter",
        examples=["/answers/0/value"],
    )
    code: str = Field(description="Stable word for programs", examples=["int_type"])
    message: str = Field(description="Sentence for developers", examples=["Input should be a valid integer"])


class ProblemDetails(BaseModel):
    """Why a request was refused. `type` and `code` are stable; `title` and `detail` hold no health data."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable reference of the kind of problem", examples=["/problems/check-in-not-open"])
    title: str = Field(examples=["This check-in is not open for answers."])
    status: int = Field(ge=400, le=599, examples=[409])
    code: str = Field(description="The kind of problem in snake_case", examples=["check_in_not_open"])
    detail: str
    errors: list[FieldProblem] = Field(description="What is wrong with the input, if that is the reason")
    request_id: str = Field(description="Quote it when you ask for help", examples=[EXAMPLE_REQUEST])
    retryable: bool = Field(description="Whether the same request may succeed later")
