"""Sign in, stay signed in, sign out; who am I."""

from typing import Annotated

from fastapi import Depends, Request

from api.dependencies import Caller, Now, Session
from api.routes import Router
from api.state import state_of
from schemas.authentication import Me, RefreshRequest, SignedIn, SignInRequest
from services import authentication

router = Router("/v1", tags=["sign-in"])


async def _tokens(request: Request) -> authentication.Tokens:
    return state_of(request).tokens


async def _address(request: Request) -> str:
    return request.client.host if request.client else ""


Tokens = Annotated[authentication.Tokens, Depends(_tokens)]
"""How this server makes tokens."""

Address = Annotated[str, Depends(_address)]
"""From where the request comes, for the throttle; nothing when the server does not say."""


@router.post("/auth/login", response_model=SignedIn)
async def log_in(form: SignInRequest, session: Session, tokens: Tokens, address: Address, now: Now) -> SignedIn:
    """Sign in with e-mail address and password."""
    return await authentication.log_in(session, form, tokens=tokens, address=address, at=now)


@router.post("/auth/refresh", response_model=SignedIn)
async def refresh_sign_in(form: RefreshRequest, session: Session, tokens: Tokens, now: Now) -> SignedIn:
    """Exchange the refresh token for the next pair of tokens; within a minute it may be sent again."""
    return await authentication.refresh(session, form.refresh_token.get_secret_value(), tokens=tokens, at=now)


@router.post("/auth/logout", status_code=204)
async def log_out(session: Session, actor: Caller, now: Now) -> None:
    """End this sign-in; its tokens are worth nothing from now on."""
    await authentication.log_out(session, actor, at=now)


@router.get("/me", response_model=Me)
async def get_me(session: Session, actor: Caller) -> Me:
    """Tell who I am, and as what."""
    return await authentication.describe(session, actor)
